"""Anthropic Messages: how it is read and written."""

from tokenweir.protocol.translate.dialects import Dialect
from tokenweir.protocol.translate.failures import read_failure
from tokenweir.protocol.translate.messages_answer import (
    lost_logprobs,
    read_answer,
    write_answer,
    write_failure,
)
from tokenweir.protocol.translate.messages_request_in import read_request
from tokenweir.protocol.translate.messages_request_out import write_request
from tokenweir.protocol.translate.messages_stream_in import MessagesStreamReader
from tokenweir.protocol.translate.messages_stream_out import MessagesStreamWriter

MESSAGES = Dialect(
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    reader=MessagesStreamReader,
    writer=MessagesStreamWriter,
    read_failure=read_failure,
    write_failure=write_failure,
    loses=lost_logprobs,
)
