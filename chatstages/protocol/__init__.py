"""Bytes and messages: framing and nicknames. Nothing here does I/O.

- `framing`: an incremental decoder for text; whole lines from bytes
- `names`: what can be a nickname, and which two look alike
"""

from chatstages.protocol.framing import Decoder, LineSplitter, encode
from chatstages.protocol.names import COLON, check_name, name_key, usable_name

__all__ = ["COLON", "Decoder", "LineSplitter", "check_name", "encode", "name_key", "usable_name"]
