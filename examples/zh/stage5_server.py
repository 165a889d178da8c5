# 第五阶段，服务端：消息按行分帧，一份日志，每个成员一个偏移量，一个选择器
# 还有的问题：
# - 昵称由客户端随便写，两个成员可以用同一个昵称；
# - 控制字符原样转发；
# - 客户端不发换行符，消息就不会转发；
# - 日志没有上限，服务端一结束就没了。
import selectors
import socket
import sys

MAX_LINE = 4096  # 字节

log = []  # 启动以来的每一行，都是字节
members = []
selector = selectors.DefaultSelector()


class Member:
    def __init__(self, conn, address):
        self.conn = conn
        self.address = address
        self.offset = len(log)  # 偏移量：接下来发日志的第几行
        self.sent = 0  # 这一行已经发出多少字节
        self.buffer = b""  # 还没收完的半行


def join(server):
    conn, address = server.accept()
    conn.setblocking(False)  # 非阻塞：要等待时抛出 BlockingIOError
    member = Member(conn, address)
    members.append(member)
    selector.register(conn, selectors.EVENT_READ, member)
    print("客户端已连接：", address)


def leave(member):
    members.remove(member)
    selector.unregister(member.conn)
    member.conn.close()
    print("客户端已断开：", member.address)


def receive(member):
    try:
        data = member.conn.recv(65535)
    except BlockingIOError:  # 没有数据，只是可以发送
        return
    except ConnectionError:  # 客户端被强行结束
        data = b""
    lines = (member.buffer + data).split(b"\n")
    if not data or max(len(line) for line in lines) > MAX_LINE:
        leave(member)
        return
    member.buffer = lines.pop()  # 最后一个换行符之后的部分
    for line in lines:
        log.append(line + b"\n")


def send(member):
    events = selectors.EVENT_READ
    while member.offset < len(log):
        line = log[member.offset]
        try:
            member.sent += member.conn.send(line[member.sent :])
        except BlockingIOError:  # 发送缓冲区满了，有空间再接着发
            events = selectors.EVENT_READ | selectors.EVENT_WRITE
            break
        except ConnectionError:  # recv 也会发现，由它处理离开
            break
        if member.sent == len(line):
            member.offset += 1
            member.sent = 0
    selector.modify(member.conn, events, member)


if __name__ == "__main__":
    try:
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 30005
        server = socket.create_server(("127.0.0.1", port))
        selector.register(server, selectors.EVENT_READ)
        print(f"服务端已启动，端口 {port}。按 Ctrl-C 结束。")
        while True:
            # 最多等 1 秒，Windows 上才能响应 Ctrl-C
            for key, _events in selector.select(1):
                if key.fileobj is server:
                    join(server)
                else:
                    receive(key.data)
            for member in members:
                send(member)
    except (KeyboardInterrupt, OSError) as error:
        print("服务端已停止：", type(error).__name__, error)
