# 第四阶段，客户端：主线程等待输入，另一个线程接收消息
# 还有的问题：把一次 recv 当成一条消息（粘包、半包，被拆开的字符显示为 �）；
# 控制字符原样显示；正在输入时，收到的消息会插进这一行。
import socket
import sys
from threading import Thread

leaving = False


def receive(client):
    try:
        while data := client.recv(65535):  # 收到 b"" 说明连接已关闭
            print("【群聊】" + data.decode(errors="replace"))
    except ConnectionError:  # 服务端被强行结束，也算关闭
        pass
    if not leaving:
        print("服务端已断开连接，请按回车键退出。")


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 30004
    try:
        client = socket.create_connection(("127.0.0.1", port))  # 含 connect()
    except ConnectionRefusedError:
        sys.exit(f"连接失败：端口 {port} 上没有服务端，请先启动服务端。")
    receiver = Thread(target=receive, args=(client,), daemon=True)
    try:
        print("已连接。输入消息后按回车发送，输入 exit 退出。")
        receiver.start()  # 守护线程：程序退出时不用等它
        while receiver.is_alive():
            message = input()
            if message == "exit":
                break
            if message:
                client.sendall(message.encode())
    except (KeyboardInterrupt, EOFError):  # 按了 Ctrl-C，或输入已结束
        print()
    except ConnectionError:
        receiver.join(2)  # 由接收线程来提示
    leaving = True
    if receiver.is_alive():
        client.shutdown(socket.SHUT_WR)  # 服务端收到 b""，随后也关闭
        receiver.join(2)
    client.close()
