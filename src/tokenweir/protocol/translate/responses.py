"""The dialect of OpenAI Responses."""

from tokenweir.protocol.translate.citations import lost_citation
from tokenweir.protocol.translate.dialects import Dialect
from tokenweir.protocol.translate.failures import read_failure
from tokenweir.protocol.translate.responses_answer import read_answer, write_answer, write_failure
from tokenweir.protocol.translate.responses_request_in import read_request
from tokenweir.protocol.translate.responses_request_out import write_request
from tokenweir.protocol.translate.responses_stream_in import ResponsesStreamReader
from tokenweir.protocol.translate.responses_stream_out import ResponsesStreamWriter

RESPONSES = Dialect(
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    reader=ResponsesStreamReader,
    writer=ResponsesStreamWriter,
    read_failure=read_failure,
    write_failure=write_failure,
    loses=lost_citation,
)
