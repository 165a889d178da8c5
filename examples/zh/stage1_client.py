# 第一阶段，客户端：发送一条消息，然后结束
# 还有的问题：
# - 只能发一条消息，再发就要把两边重新启动；
# - 空消息一个字节也发不出去。
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 30001

client = socket.socket()
try:
    client.connect(("127.0.0.1", port))
    message = input("请输入消息：")
    client.sendall(message.encode())  # 套接字只能发送字节，先编码
except ConnectionRefusedError:
    print(f"连接失败：端口 {port} 上没有服务端，请先启动服务端。")
except ConnectionError:
    print("服务端已断开连接。")
except (KeyboardInterrupt, EOFError):  # 按了 Ctrl-C，或输入已结束
    print()
client.close()
