# 第二阶段，服务端（用函数）。还有的问题：不能服务第二个客户端；把一次 recv
# 当成一条消息（粘包、半包）；一个字符被拆到两次 recv 时，显示为 �。
import socket
import sys


def receive(conn, address):
    while True:
        data = conn.recv(65535)
        if not data:  # 收到 b""：客户端已关闭连接
            break
        print("收到消息：", data.decode(errors="replace"))
    print("客户端已断开：", address)


def serve(port):
    # 相当于 socket()、bind()、listen()，非 Windows 上还设置 SO_REUSEADDR
    server = socket.create_server(("127.0.0.1", port))
    print(f"服务端已启动，端口 {port}。按 Ctrl-C 结束（Windows 按 Ctrl-Break）。")
    conn, address = server.accept()
    print("客户端已连接：", address)
    receive(conn, address)
    conn.close()
    server.close()


if __name__ == "__main__":
    try:
        serve(int(sys.argv[1]) if len(sys.argv) > 1 else 30002)
    except (KeyboardInterrupt, OSError) as error:
        print("服务端已停止：", type(error).__name__, error)
