# 第四阶段，服务端：群聊。一个客户端发的消息，广播给所有客户端
# 还有的问题：把一次 recv 当成一条消息（粘包、半包）；两人同时发送，各成员收到的
# 顺序可能不同，长消息会混在一起；有成员不接收数据，给它发送的线程都会阻塞；
# 没有昵称；控制字符原样转发；线程数没有上限。
import socket
import sys
from threading import Lock, Thread

members = []
lock = Lock()  # 保护 members


def broadcast(data):
    with lock:
        everybody = members.copy()  # 发送期间可能有人加入或离开
    for member in everybody:
        try:
            member.sendall(data)
        except OSError:  # 由该成员自己的线程移除它
            pass


def handle(conn, address):
    try:
        while data := conn.recv(65535):  # 收到 b"" 说明客户端已断开
            broadcast(data)
    except ConnectionError:  # 客户端被强行结束，也算断开
        pass
    with lock:
        members.remove(conn)
    conn.close()
    print("客户端已断开：", address)


if __name__ == "__main__":
    try:
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 30004
        server = socket.create_server(("127.0.0.1", port))  # 含 bind()、listen()
        print(f"服务端已启动，端口 {port}。按 Ctrl-C 结束（Windows 按 Ctrl-Break）。")
        while True:
            conn, address = server.accept()
            with lock:
                members.append(conn)
            print("客户端已连接：", address)
            Thread(target=handle, args=(conn, address), daemon=True).start()
    except (KeyboardInterrupt, OSError) as error:  # 守护线程随主线程结束
        print("服务端已停止：", type(error).__name__, error)
