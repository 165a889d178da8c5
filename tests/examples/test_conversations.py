"""Every example server with every client that belongs to it: the example's, and the package's."""

from __future__ import annotations

import pytest

from tests.examples.program import (
    CLIENTS,
    FOLDERS,
    PAIRS,
    SERVERS,
    WORDS,
    chat,
    come_in,
    stage_of,
    start,
    start_server,
    start_stage,
)

FIRST_TWO = [pair for pair in PAIRS if stage_of(pair[1]) <= 2]
GROUPS = [pair for pair in PAIRS if stage_of(pair[1]) >= 4]


@pytest.mark.parametrize(("lang", "script", "other"), FIRST_TWO)
def test_a_server_for_one_client_ends_after_it(lang: str, script: str, other: str) -> None:
    """It shows what was sent, and both end by themselves."""
    stage = stage_of(script)
    server, port = start_server(lang, script)
    with server, start(lang, other, port) as client:
        client.type("大家好")
        server.wait_for("大家好")
        if stage == 2:
            client.type("second")
            server.wait_for("second")
            client.type("")
            server.wait_for(WORDS[lang]["disconnected"])
        client.ends_cleanly()
        server.ends_cleanly()


@pytest.mark.parametrize("lang", FOLDERS)
def test_a_server_with_threads_hears_two_clients_at_once(lang: str) -> None:
    """Neither waits for the other."""
    server, port = start_server(lang, "stage3_server.py")
    with (
        server,
        start(lang, "stage3_client.py", port) as one,
        start(lang, "stage3_client.py", port) as two,
    ):
        for number, client in enumerate([one, two, one, two]):
            client.type(f"第{number}条")
            server.wait_for(f"第{number}条")
        for client in (one, two):
            client.type("")
            client.ends_cleanly()
        server.wait_for(WORDS[lang]["disconnected"], 2)


@pytest.mark.parametrize(("lang", "script", "other"), GROUPS)
def test_what_one_says_everybody_receives(lang: str, script: str, other: str) -> None:
    """The sender, too; and `exit` is not sent."""
    stage = stage_of(script)
    before = {4: WORDS[lang]["group"] * 2, 5: "小明：小红："}[stage]
    first, second = before[: len(before) // 2], before[len(before) // 2 :]
    server, port = start_server(lang, script)
    with server, start(lang, other, port) as one, start(lang, other, port) as two:
        server.wait_for(WORDS[lang]["connected"], 2)
        come_in(lang, one, stage, "小明")
        come_in(lang, two, stage, "小红")
        for number, (speaker, name) in enumerate([(one, first), (two, second), (one, first)]):
            speaker.type(f"第{number}条")
            for client in (one, two):
                client.wait_for(f"{name}第{number}条\n")
        one.type("exit")
        one.ends_cleanly()
        server.wait_for(WORDS[lang]["disconnected"])
        two.type("last")
        two.wait_for(f"{second}last\n")
        assert "exit" not in two.out.partition("第0条")[2]
        assert server.err == ""


@pytest.mark.parametrize("lang", FOLDERS)
def test_an_empty_nickname_is_asked_for_again(lang: str) -> None:
    """Also one of spaces."""
    server, port = start_server(lang, "stage5_server.py")
    with server, start(lang, "stage5_client.py", port) as client:
        client.type("", "  ", "小明", "好")
        client.wait_for("小明：好\n")
        assert client.out.count(WORDS[lang]["nickname"]) == 3


@pytest.mark.parametrize(("lang", "script"), [(lang, script) for lang in FOLDERS for script in SERVERS])
def test_the_package_s_client_talks_to_an_example_server(lang: str, script: str) -> None:
    """`chatstages chat N` with the server of stage N."""
    stage = stage_of(script)
    server, port = start_server(lang, script)
    with server, chat(stage, port, "小明") as client:
        client.wait_for("Connected")
        client.type("大家好")
        speaker = {4: "大家好\n", 5: "小明：大家好\n"}
        if stage >= 4:
            client.wait_for(speaker[stage])
            client.type("exit")
        else:
            server.wait_for("大家好")
            client.type("")
        client.ends_cleanly()
        if stage > 1:
            server.wait_for(WORDS[lang]["disconnected"])
        assert server.err == ""


@pytest.mark.parametrize(("lang", "script"), [(lang, script) for lang in FOLDERS for script in CLIENTS])
def test_an_example_client_talks_to_the_package_s_server(lang: str, script: str) -> None:
    """The client of stage N with `chatstages serve N`."""
    stage = stage_of(script)
    server, port = start_stage(stage)
    with server, start(lang, script, port) as client:
        come_in(lang, client, stage)
        client.type("大家好")
        server.wait_for("大家好")
        if stage >= 4:
            client.wait_for("大家好\n")
        if stage > 1:
            client.type("exit" if stage >= 4 else "")
        client.ends_cleanly()


@pytest.mark.parametrize("lang", FOLDERS)
def test_both_languages_meet_in_one_group(lang: str) -> None:
    """A server of the one, clients of both and of the package."""
    server, port = start_server(lang, "stage5_server.py")
    with (
        server,
        start("en", "stage5_client.py", port) as ann,
        start("zh", "stage5_client.py", port) as ming,
        chat(5, port, "Ben") as ben,
    ):
        server.wait_for(WORDS[lang]["connected"], 3)
        ann.type("Ann", "hello")
        ming.type("小明", "你好")
        ben.type("hi")
        for client in (ann, ming, ben):
            for line in ("Ann：hello\n", "小明：你好\n", "Ben：hi\n"):
                client.wait_for(line)


def test_ten_clients_at_once_receive_one_order() -> None:
    """In stage 5 the log is the order."""
    server, port = start_server("en", "stage5_server.py")
    clients = []
    try:
        clients = [start("en", "stage5_client.py", port) for _each in range(10)]
        server.wait_for("Connected:", 10)
        for number, client in enumerate(clients):
            client.type(f"name{number}", *(f"line {n}" for n in range(20)))
        for client in clients:
            client.wait_for("：line ", 200)
        assert len({tuple(line for line in c.out.splitlines() if "：line" in line) for c in clients}) == 1
    finally:
        for program in [*clients, server]:
            program.__exit__()
