"""The dialects that can be translated to each other, by name."""

from tokenweir.protocol.translate.chat import CHAT
from tokenweir.protocol.translate.dialects import Dialect
from tokenweir.protocol.translate.messages import MESSAGES
from tokenweir.protocol.translate.responses import RESPONSES

DIALECTS: dict[str, Dialect] = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}
