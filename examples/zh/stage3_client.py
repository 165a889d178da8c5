# 第三阶段，客户端。还有的问题：消息没有结束标记；
# 客户端不接收数据，服务端结束后，要到再发消息时才发现。
import socket
import sys


def send(client):
    while True:
        message = input("请输入消息（直接回车退出）：")
        if not message:
            break
        client.sendall(message.encode())


def chat(port):
    client = socket.socket()
    try:
        client.connect(("127.0.0.1", port))
        send(client)
    except ConnectionRefusedError:
        print(f"连接失败：端口 {port} 上没有服务端，请先启动服务端。")
    except ConnectionError:
        print("服务端已断开连接。")
    except (KeyboardInterrupt, EOFError):  # 按了 Ctrl-C，或输入已结束
        print()
    client.close()  # 此后服务端的 recv 返回 b""


if __name__ == "__main__":
    chat(int(sys.argv[1]) if len(sys.argv) > 1 else 30003)
