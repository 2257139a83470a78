"""The domain's words: statuses and their transitions, dossier codes, operations, systems, outcomes.

Knows nothing of simulation, HTTP or databases. Every other part takes its names from here.
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum


class Status(IntEnum):
    """The ten statuses of a dossier (source: lifecycle-status-01 to lifecycle-status-10)."""

    REGISTERED = 1
    RECEIVED = 2
    NOT_RECEIVED = 3
    IN_PROCESS = 4
    SUPPLEMENT_ASKED = 5
    PAYMENT_DUE = 6
    WITHDRAWN = 7
    STOPPED = 8
    FINISHED = 9
    RETURNED = 10


STATUS_NAMES_VI = {
    Status.REGISTERED: "Mới đăng ký",
    Status.RECEIVED: "Được tiếp nhận",
    Status.NOT_RECEIVED: "Không được tiếp nhận",
    Status.IN_PROCESS: "Đang xử lý",
    Status.SUPPLEMENT_ASKED: "Yêu cầu bổ sung giấy tờ",
    Status.PAYMENT_DUE: "Yêu cầu thực hiện nghĩa vụ tài chính",
    Status.WITHDRAWN: "Công dân yêu cầu rút hồ sơ",
    Status.STOPPED: "Dừng xử lý",
    Status.FINISHED: "Đã xử lý xong",
    Status.RETURNED: "Đã trả kết quả",
}

# The allowed transitions are not published; this table is our assumption (assumed-transitions).
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.REGISTERED: frozenset({Status.RECEIVED, Status.NOT_RECEIVED, Status.SUPPLEMENT_ASKED, Status.WITHDRAWN}),
    Status.RECEIVED: frozenset({Status.IN_PROCESS, Status.SUPPLEMENT_ASKED, Status.PAYMENT_DUE, Status.WITHDRAWN}),
    Status.NOT_RECEIVED: frozenset(),
    Status.IN_PROCESS: frozenset(
        {Status.SUPPLEMENT_ASKED, Status.PAYMENT_DUE, Status.WITHDRAWN, Status.STOPPED, Status.FINISHED}
    ),
    Status.SUPPLEMENT_ASKED: frozenset({Status.RECEIVED, Status.IN_PROCESS, Status.WITHDRAWN, Status.STOPPED}),
    Status.PAYMENT_DUE: frozenset({Status.IN_PROCESS, Status.WITHDRAWN, Status.STOPPED}),
    Status.WITHDRAWN: frozenset(),
    Status.STOPPED: frozenset(),
    Status.FINISHED: frozenset({Status.RETURNED}),
    Status.RETURNED: frozenset(),
}


class Group(StrEnum):
    """The two groups of agencies whose adoption is published."""

    MINISTRIES = "ministries"
    LOCALITIES = "localities"


class Outcome(StrEnum):
    """What became of a step. The arrivals of a plan equal the sum over the six, exactly.

    ok: the answer came and was right. refused: the portal turned it away (429, 503). failed: wrong answer, error or
    broken connection. timed_out: no answer in time. dropped: the generator was too late to send it. lost: nobody
    knows; the worker that held it died.
    """

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    DROPPED = "dropped"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Operation:
    """One request that somebody makes of a system."""

    name: str
    system: str
    label_en: str
    label_vi: str


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("sign_in", "identity", "Sign in", "Đăng nhập"),
        Operation("search_catalogue", "national_portal", "Search the catalogue", "Tra cứu thủ tục"),
        Operation("file_dossier", "national_portal", "File a dossier", "Nộp hồ sơ"),
        Operation("pay_fee", "payment", "Pay the fee", "Thanh toán phí, lệ phí"),
        Operation("reconcile_payments", "payment", "Reconcile payments", "Đối soát thanh toán"),
        Operation("look_up_status", "national_portal", "Look a status up", "Tra cứu trạng thái hồ sơ"),
        Operation("supplement_dossier", "national_portal", "Supplement a dossier", "Nộp bổ sung giấy tờ"),
        Operation("withdraw_dossier", "national_portal", "Withdraw a dossier", "Rút hồ sơ"),
        Operation("file_at_counter", "case_system", "File at a counter", "Nhập hồ sơ nộp tại quầy"),
        Operation("receive_dossier", "case_system", "Receive a dossier", "Tiếp nhận hồ sơ"),
        Operation("refuse_dossier", "case_system", "Refuse a dossier", "Từ chối tiếp nhận"),
        Operation("start_handling", "case_system", "Start handling", "Chuyển xử lý"),
        Operation("ask_supplement", "case_system", "Ask for a supplement", "Yêu cầu bổ sung"),
        Operation("ask_payment", "case_system", "Ask for a payment", "Yêu cầu thực hiện nghĩa vụ tài chính"),
        Operation("stop_dossier", "case_system", "Stop a dossier", "Dừng xử lý"),
        Operation("finish_dossier", "case_system", "Finish a dossier", "Kết thúc xử lý"),
        Operation("return_result", "case_system", "Return the result", "Trả kết quả"),
        Operation("push_sync", "status_sync", "Push a sync batch", "Đồng bộ trạng thái"),
        Operation("exchange_data", "data_exchange", "Exchange data", "Trao đổi dữ liệu"),
        Operation("look_up_citizen", "population_db", "Look a citizen up", "Tra cứu dân cư"),
        Operation("sign_remotely", "signing", "Sign remotely", "Ký số từ xa"),
        Operation("reuse_document", "document_store", "Reuse a document", "Dùng lại giấy tờ đã số hóa"),
        Operation("digitise_paper", "digitisation", "Digitise a paper", "Số hóa giấy tờ"),
        Operation("send_document", "document_axis", "Send a document", "Gửi văn bản"),
        Operation("fetch_documents", "document_axis", "Fetch documents", "Nhận văn bản"),
        Operation("send_work_document", "government_work", "Send a work document", "Gửi tài liệu công việc"),
        Operation("ask_support", "support", "Ask for support", "Gửi câu hỏi hỗ trợ"),
        Operation("read_indicators", "quality_monitor", "Read the indicators", "Xem chỉ số chất lượng"),
    )
}

# The operations that make a dossier.
FILINGS = ("file_dossier", "file_at_counter")

# The status that an operation leads to.
STATUS_AFTER: dict[str, Status] = {
    "receive_dossier": Status.RECEIVED,
    "refuse_dossier": Status.NOT_RECEIVED,
    "start_handling": Status.IN_PROCESS,
    "ask_supplement": Status.SUPPLEMENT_ASKED,
    "supplement_dossier": Status.IN_PROCESS,
    "ask_payment": Status.PAYMENT_DUE,
    "stop_dossier": Status.STOPPED,
    "withdraw_dossier": Status.WITHDRAWN,
    "finish_dossier": Status.FINISHED,
    "return_result": Status.RETURNED,
}

# The status in which a plan's first step on a dossier expects to find it: what a portal is prepared with.
STATUS_BEFORE: dict[str, Status] = {
    "pay_fee": Status.REGISTERED,
    "look_up_status": Status.REGISTERED,
    "supplement_dossier": Status.SUPPLEMENT_ASKED,
    "receive_dossier": Status.REGISTERED,
    "refuse_dossier": Status.REGISTERED,
    "start_handling": Status.RECEIVED,
    "ask_supplement": Status.IN_PROCESS,
    "ask_payment": Status.IN_PROCESS,
    "stop_dossier": Status.IN_PROCESS,
    "withdraw_dossier": Status.REGISTERED,
    "finish_dossier": Status.IN_PROCESS,
    "return_result": Status.FINISHED,
    "reuse_document": Status.REGISTERED,
    "digitise_paper": Status.REGISTERED,
}

SERIALS_PER_DAY = 10_000_000
_CODE = re.compile(r"(?P<agency>[GH]\d{2})-(?P<day>\d{8})-(?P<serial>\d{7})", re.ASCII)


def dossier_number(filed_on: date, serial: int) -> int:
    """The plan's `dossier` key: yyyymmdd followed by a seven-digit serial, unique in the whole country."""
    if not 0 <= serial < SERIALS_PER_DAY:
        raise ValueError(f"serial {serial}: expected 0 to {SERIALS_PER_DAY - 1}")
    return int(filed_on.strftime("%Y%m%d")) * SERIALS_PER_DAY + serial


def dossier_code(agency: str, dossier: int) -> str:
    """The code citizens see: unit, day, seven-digit serial (source: lifecycle-code-newer-example)."""
    return f"{agency}-{dossier // SERIALS_PER_DAY:08d}-{dossier % SERIALS_PER_DAY:07d}"


def parse_dossier_code(code: str) -> tuple[str, int]:
    """(agency, dossier) of a code; ValueError names the code and the form expected."""
    match = _CODE.fullmatch(code)
    if match is None:
        raise ValueError(f"dossier code {code!r}: expected a form like H01-20260609-0092637")
    return match["agency"], int(match["day"]) * SERIALS_PER_DAY + int(match["serial"])
