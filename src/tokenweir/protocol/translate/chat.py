"""OpenAI Chat Completions: how it is read and written."""

from tokenweir.protocol.translate.chat_answer_in import read_answer
from tokenweir.protocol.translate.chat_answer_out import write_answer, write_failure
from tokenweir.protocol.translate.chat_request_in import read_request
from tokenweir.protocol.translate.chat_request_out import write_request
from tokenweir.protocol.translate.chat_stream_in import ChatStreamReader
from tokenweir.protocol.translate.chat_stream_out import ChatStreamWriter
from tokenweir.protocol.translate.citations import lost_citation
from tokenweir.protocol.translate.dialects import Dialect
from tokenweir.protocol.translate.failures import read_failure

CHAT = Dialect(
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    reader=ChatStreamReader,
    writer=ChatStreamWriter,
    read_failure=read_failure,
    write_failure=write_failure,
    loses=lost_citation,
)
