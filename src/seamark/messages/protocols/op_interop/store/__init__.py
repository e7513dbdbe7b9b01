"""Tables of executing messages, and all that reads and writes them. Plain functions of a SQLAlchemy `Connection`."""

from seamark.messages.protocols.op_interop.store.book import Decision, JobBook, JobChanges
from seamark.messages.protocols.op_interop.store.heights import Height, read_heights
from seamark.messages.protocols.op_interop.store.incidents import (
    Incident,
    close_incident,
    list_incidents,
    open_incident,
    save_call,
)
from seamark.messages.protocols.op_interop.store.lists import JobFilter, JobPage, page_jobs
from seamark.messages.protocols.op_interop.store.queries import (
    BadLogView,
    BlockRanges,
    Group,
    TallyRow,
    VerdictView,
    bad_logs,
    find_job,
    history,
    list_jobs,
    odd_counts,
    odd_groups,
    ranges,
    read_due,
    read_tallies,
    undecided,
)
from seamark.messages.protocols.op_interop.store.rows import ELSEWHERE, Job, job_key

__all__ = [
    "ELSEWHERE",
    "BadLogView",
    "BlockRanges",
    "Decision",
    "Group",
    "Height",
    "Incident",
    "Job",
    "JobBook",
    "JobChanges",
    "JobFilter",
    "JobPage",
    "TallyRow",
    "VerdictView",
    "bad_logs",
    "close_incident",
    "find_job",
    "history",
    "job_key",
    "list_incidents",
    "list_jobs",
    "odd_counts",
    "odd_groups",
    "open_incident",
    "page_jobs",
    "ranges",
    "read_due",
    "read_heights",
    "read_tallies",
    "save_call",
    "undecided",
]
