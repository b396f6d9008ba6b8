"""Error texts of SQL: for each of its code words, what it means and what to do."""

from __future__ import annotations

from cluster.errors_entry import Text

SQL_TEXTS: dict[str, Text] = {
    "SQL_SYNTAX": Text("The statement is no SQL.", "Correct it where the message says."),
    "SQL_UNKNOWN": Text(
        "The statement names a table, a column or a function that is not there.",
        "SHOW TABLES lists the tables, DESCRIBE TABLE the columns of one.",
    ),
    "SQL_INVALID": Text(
        "The statement cannot be computed: a type, a number or a form does not fit.",
        "Correct what the message names; CAST makes one type of another.",
    ),
    "SQL_FORBIDDEN": Text(
        "The statement would write, read files or the network, or tell of the process.",
        "Ask with one SELECT, VALUES, DESCRIBE TABLE, SHOW TABLES or EXPLAIN.",
    ),
    "SQL_TOO_LARGE": Text(
        "The statement, what it needs or what it answers is larger than its bound.",
        "Select fewer columns or rows, or join on equal keys.",
    ),
    "SQL_TIMEOUT": Text(
        "The statement did not end in its time, 10 s if the caller does not allow less.",
        "Narrow it by a WHERE, or aggregate more before joining.",
    ),
    "NOT_ACCEPTABLE": Text(
        "The answer has none of the forms that Accept names.",
        "Ask for Arrow, Parquet, CSV or JSON by Accept, or with ?format=.",
    ),
    "SQL_UNAVAILABLE": Text(
        "The region's query process does not answer: it starts, or is started again.",
        "Send it again; if it stays so, look at `twin status` and .twin/logs/sql-REGION.log.",
        again=True,
    ),
}
