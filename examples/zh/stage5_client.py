# 第五阶段，客户端：消息前面加昵称，后面加换行符
# 还有的问题：
# - 昵称没有核对，别人正在用的也能用；
# - 控制字符原样显示；
# - 正在输入时，收到的消息会插进这一行。
import socket
import sys
from threading import Thread

leaving = False


def receive(client):
    buffer = b""
    try:
        while data := client.recv(65535):  # 收到 b"" 说明连接已关闭
            lines = (buffer + data).split(b"\n")
            buffer = lines.pop()  # 还没收完的半行
            for line in lines:
                print(line.decode(errors="replace"))
    except ConnectionError:  # 服务端被强行结束，也算关闭
        pass
    if not leaving:
        print("服务端已断开连接，请按回车键退出。")


def ask_nickname():
    nickname = ""
    while not nickname:
        nickname = input("请输入昵称：").strip()
    return nickname


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 30005
    try:
        client = socket.create_connection(("127.0.0.1", port))  # 含 connect()
    except ConnectionRefusedError:
        sys.exit(f"连接失败：端口 {port} 上没有服务端，请先启动服务端。")
    print("欢迎加入群聊！输入消息后按回车发送，输入 exit 退出。")
    # 守护线程：程序退出时不用等它
    receiver = Thread(target=receive, args=(client,), daemon=True)
    try:
        nickname = ask_nickname()
        receiver.start()
        while receiver.is_alive():
            message = input()
            if message == "exit":
                break
            if message:
                client.sendall(f"{nickname}：{message}\n".encode())
    except (KeyboardInterrupt, EOFError):  # 按了 Ctrl-C，或输入已结束
        print()
    except ConnectionError:
        receiver.join(2)  # 由接收线程来提示
    leaving = True
    if receiver.is_alive():
        client.shutdown(socket.SHUT_WR)  # 服务端收到 b""，随后也关闭
        receiver.join(2)
    client.close()
