# 第一阶段，服务端：接收一个客户端的一条消息，然后结束
# 还有的问题：
# - 只能收一条消息，收完两边都结束；
# - 把一次 recv 当成一条消息：长消息只能收到开头的一部分；
# - 一个字符只收到几个字节时，显示为 �。
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 30001

server = socket.socket()
try:
    if sys.platform != "win32":  # 关掉后能马上重新启动
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen()
    print(f"服务端已启动，端口 {port}。按 Ctrl-C 结束（Windows 按 Ctrl-Break）。")
    conn, address = server.accept()  # 阻塞，直到有客户端连接
    print("客户端已连接：", address)
    data = conn.recv(65535)  # 阻塞，直到收到数据
    print("收到消息：", data.decode(errors="replace"))
    conn.close()
except (KeyboardInterrupt, OSError) as error:
    print("服务端已停止：", type(error).__name__, error)
server.close()
