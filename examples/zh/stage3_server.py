# 第三阶段，服务端：每个客户端一个线程。还有的问题：客户端收不到别人的消息；
# 把一次 recv 当成一条消息（粘包、半包）；一个字符被拆到两次 recv 时，显示为 �；
# 线程数没有上限。
import socket
import sys
from threading import Thread


def handle(conn, address):
    try:
        while data := conn.recv(65535):  # 收到 b"" 说明客户端已断开
            print(address, data.decode(errors="replace"))
    except ConnectionError:  # 客户端被强行结束，也算断开
        pass
    print("客户端已断开：", address)
    conn.close()  # 哪个线程使用连接，就由它关闭


if __name__ == "__main__":
    try:
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 30003
        server = socket.create_server(("127.0.0.1", port))  # 含 bind()、listen()
        print(f"服务端已启动，端口 {port}。按 Ctrl-C 结束（Windows 按 Ctrl-Break）。")
        while True:
            conn, address = server.accept()
            print("客户端已连接：", address)
            Thread(target=handle, args=(conn, address), daemon=True).start()
    except (KeyboardInterrupt, OSError) as error:  # 守护线程随主线程结束
        print("服务端已停止：", type(error).__name__, error)
