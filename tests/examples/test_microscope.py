"""What a script's text calls still wrong is what the microscope names, and nothing else.

Each fault that a text admits stands in FAULTS, word for word, with what provokes it and what the microscope
then says. Of some it says nothing: those show in what the script does.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.examples.program import (
    CLIENTS,
    FOLDERS,
    PAIRS,
    SERVERS,
    WORDS,
    Program,
    come_in,
    stage_of,
    start_server,
)
from tests.examples.provoke import (
    Provoke,
    a_name_in_use,
    a_second_client,
    a_thread_for_each,
    an_empty_message,
    findings,
    half_a_character,
    half_character,
    half_character_for_a_client,
    in_the_middle_of_a_line,
    microscope,
    no_newline,
    no_nickname,
    nothing_for_the_others,
    notices_late,
    only_one_message,
    only_the_first_part,
    screen_command,
    shown_as_it_is,
    together,
    two_of_one_name,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX signal or terminal")

# The names of the findings, as `explain` gives them.
BLOCKED, COALESCED, CUT, EMPTY = "BlockedThread", "CoalescedMessages", "SplitCharacter", "EmptySend"
MIXED, SCREEN, SHARED = "InterleavedMessages", "TerminalInjection", "DuplicateNickname"
SPLIT = "SplitMessage"


# --- the table ---------------------------------------------------------------------------------------


Shown = tuple[Provoke, str | None]


class Fault(NamedTuple):
    """What the two texts say; and what provokes it, with the name that the microscope has for that."""

    english: str
    chinese: str
    shown: list[Shown]


NO_DELIMITER = Fault(
    "nothing marks where a message ends", "消息没有结束标记", [(together("client_sends"), COALESCED)]
)
NOTICES_LATE = Fault(
    "the client does not receive, so it notices that the server has ended only when it sends",
    "客户端不接收数据，服务端结束后，要到再发消息时才发现",
    [(notices_late, None)],
)
ONE_CLIENT = Fault("a second client is not served", "不能服务第二个客户端", [(a_second_client, None)])
ONE_RECV_IN_A_SERVER = Fault(
    "one recv is taken for one message (coalesced, split)",
    "把一次 recv 当成一条消息（粘包、半包）",
    [(together("coalesced"), COALESCED), (together("split"), SPLIT)],
)
CHUNKS_DECODED = Fault(
    "a character split in two is shown as �",
    "一个字符被拆到两次 recv 时，显示为 �",
    [(half_character, CUT)],
)
IN_YOUR_LINE = "正在输入时，收到的消息会插进这一行"
FAULTS = {
    "stage1_server.py": [
        Fault(
            "only one message: then both programs end",
            "只能收一条消息，收完两边都结束",
            [(only_one_message, None)],
        ),
        Fault(
            "one recv is taken for one message: of a long one only the first part is received",
            "把一次 recv 当成一条消息：长消息只能收到开头的一部分",
            [(only_the_first_part, None)],
        ),
        Fault(
            "a character of which only some bytes have arrived is shown as �",
            "一个字符只收到几个字节时，显示为 �",
            [(half_a_character, None)],
        ),
    ],
    "stage1_client.py": [
        Fault(
            "only one message: for the next one, start both programs again",
            "只能发一条消息，再发就要把两边重新启动",
            [(only_one_message, None)],
        ),
        Fault(
            "an empty message sends no bytes at all", "空消息一个字节也发不出去", [(an_empty_message, EMPTY)]
        ),
    ],
    "stage2_server.py": [ONE_CLIENT, ONE_RECV_IN_A_SERVER, CHUNKS_DECODED],
    "stage2_client.py": [NO_DELIMITER, NOTICES_LATE],
    "stage2_server_functions.py": [ONE_CLIENT, ONE_RECV_IN_A_SERVER, CHUNKS_DECODED],
    "stage2_client_functions.py": [NO_DELIMITER, NOTICES_LATE],
    "stage3_server.py": [
        Fault(
            "clients do not receive each other's messages",
            "客户端收不到别人的消息",
            [(nothing_for_the_others, None)],
        ),
        ONE_RECV_IN_A_SERVER,
        CHUNKS_DECODED,
        Fault("the number of threads has no limit", "线程数没有上限", [(a_thread_for_each, None)]),
    ],
    "stage3_client.py": [NO_DELIMITER, NOTICES_LATE],
    "stage4_server.py": [
        ONE_RECV_IN_A_SERVER,
        Fault(
            "two sent at once may arrive in different order, long ones mixed",
            "两人同时发送，各成员收到的顺序可能不同，长消息会混在一起",
            [(together("mixed"), MIXED)],
        ),
        Fault(
            "a member that does not read blocks all senders",
            "有成员不接收数据，给它发送的线程都会阻塞",
            [(together("blocked"), BLOCKED)],
        ),
        Fault("no nicknames", "没有昵称", [(no_nickname, None)]),
        Fault("control characters pass unchanged", "控制字符原样转发", [(screen_command, SCREEN)]),
        Fault("threads without a limit", "线程数没有上限", [(a_thread_for_each, None)]),
    ],
    "stage4_client.py": [
        Fault(
            "one recv is taken for one message (coalesced, split, a split character is �)",
            "把一次 recv 当成一条消息（粘包、半包，被拆开的字符显示为 �）",
            [
                (together("client_coalesced"), COALESCED),
                (together("client_split"), SPLIT),
                (half_character_for_a_client, CUT),
            ],
        ),
        Fault("control characters are shown as they are", "控制字符原样显示", [(shown_as_it_is, None)]),
        Fault("a message may land in the line you type", IN_YOUR_LINE, [(in_the_middle_of_a_line, None)]),
    ],
    "stage5_server.py": [
        Fault(
            "a nickname is whatever the client writes: two members may use the same one",
            "昵称由客户端随便写，两个成员可以用同一个昵称",
            [(two_of_one_name, SHARED)],
        ),
        Fault("control characters are passed on as they are", "控制字符原样转发", [(screen_command, SCREEN)]),
        Fault(
            "a client that sends no newline is not heard",
            "客户端不发换行符，消息就不会转发",
            [(no_newline, None)],
        ),
        Fault(
            "the log grows without a limit, and is lost when the server ends",
            "日志没有上限，服务端一结束就没了",
            [(together("log_grows"), None)],
        ),
    ],
    "stage5_client.py": [
        Fault(
            "the server takes the nickname on trust, whoever uses it already",
            "昵称没有核对，别人正在用的也能用",
            [(a_name_in_use, None)],
        ),
        Fault("control characters are shown as they are", "控制字符原样显示", [(shown_as_it_is, None)]),
        Fault(
            "a message that arrives while you type is shown in the middle of your line",
            IN_YOUR_LINE,
            [(in_the_middle_of_a_line, None)],
        ),
    ],
}
PROVOKED = [
    pytest.param(lang, script, provoke, kind, id=f"{lang}-{script}-{fault.english[:30]}-{number}")
    for lang in FOLDERS
    for script, faults in FAULTS.items()
    for fault in faults
    for number, (provoke, kind) in enumerate(fault.shown)
]


def admitted(lang: str, script: str) -> list[str]:
    """Return what the comment at the top of a script calls still wrong."""
    text = (FOLDERS[lang] / script).read_text(encoding="utf-8").partition("import ")[0]
    text = " ".join(line.removeprefix("#").strip() for line in text.splitlines())
    _title, _mark, faults = re.split("(Still wrong:|还有的问题：)", text)
    return [item.strip().removeprefix("- ").rstrip(".。") for item in re.split("[;；]", faults)]


@pytest.mark.parametrize("script", SERVERS + CLIENTS)
def test_each_fault_that_a_text_admits_is_in_the_table(script: str) -> None:
    """Word for word, in both languages."""
    assert admitted("en", script) == [fault.english for fault in FAULTS[script]]
    chinese = [fault.replace(" ", "") for fault in admitted("zh", script)]  # where a line ends is no matter
    assert chinese == [fault.chinese.replace(" ", "") for fault in FAULTS[script]]


@posix
@pytest.mark.parametrize(("lang", "script", "provoke", "kind"), PROVOKED)
def test_a_fault_that_a_text_admits_shows(
    lang: str, script: str, provoke: Provoke, kind: str | None, tmp_path: Path
) -> None:
    """The microscope names it, where it can, and nothing that the text does not admit."""
    named = provoke(lang, script, tmp_path)
    known = {kind for fault in FAULTS[script] for _provoke, kind in fault.shown if kind}
    assert kind in named or (kind is None and not named)
    assert named <= known


@posix
@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize(("lang", "script", "other"), PAIRS)
def test_a_short_conversation_shows_nothing_suspicious(
    side: str, lang: str, script: str, other: str, tmp_path: Path
) -> None:
    """As long as nobody provokes a fault."""
    stage, recording = stage_of(script), tmp_path / "seen.json"
    before = microscope(recording)
    server, port = start_server(lang, script, *(before if side == "server" else []))
    options = before if side == "client" else []
    with server, Program(*options, FOLDERS[lang] / other, str(port)) as client:
        come_in(lang, client, stage)
        for text in ("大家好", "second") if stage > 1 else ("大家好",):
            client.type(text)
            (server if stage < 4 else client).wait_for(f"{text}\n")
        if stage > 1:
            client.type("exit" if stage >= 4 else "")
            server.wait_for(WORDS[lang]["disconnected"])
        assert client.wait() == 0
        if stage > 2:
            server.interrupt()
        assert server.wait() == 0
        assert "Traceback" not in server.err + client.err
        assert findings(recording) == set()
