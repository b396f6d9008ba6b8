"""Error texts: for every code word, what it means, what to do, and whether to send it again.

A code that a user can meet is in this table; a test holds it against the words in the source.
"""

from __future__ import annotations

from cluster.errors_entry import Text
from cluster.errors_sql import SQL_TEXTS

TEXTS: dict[str, Text] = {
    # requests
    "NOT_FOUND": Text("Nothing is at this path.", "Use one of the names that the message lists."),
    "METHOD_NOT_ALLOWED": Text("The path is not for this HTTP method.", "Use the one it is for."),
    "TOO_DEEP": Text("The message is nested too deeply.", "Send flat values; 16 levels at most."),
    "NUMBER_TOO_LONG": Text("A number has too many digits.", "Send numbers of 64 bits at most."),
    "DUPLICATE_FIELD": Text("An object or a row names one field twice.", "Name each field once."),
    "CROSS_SITE": Text(
        "A page of another site tried to use the dashboard's cookie.",
        "Send a token in `authorization: Bearer` instead of the cookie.",
    ),
    "INVALID_ARGUMENT": Text(
        "The request asks for something that does not exist or makes no sense.",
        "Correct what the message names.",
    ),
    "MALFORMED": Text(
        "The message is no batch of events.",
        "Send msgpack rows or one Arrow IPC stream, as serving/wire/twin.proto says.",
    ),
    "MESSAGE_TOO_LARGE": Text(
        "The message is over the limit: 16 MiB for Ingest, 1 MiB for other calls.",
        "Send smaller batches.",
    ),
    "TOO_LARGE": Text(
        "The message, or the answer that it asks for, holds more than one may.",
        "Send smaller batches: a million events, and 1,024 values a row, at most; ask for less.",
    ),
    "ARROW_INVALID": Text(
        "The bytes are no Arrow IPC stream, or its offsets point outside its buffers.",
        "Write the stream anew with an Arrow library, and send it whole.",
    ),
    "DECOMPRESSED_TOO_LARGE": Text(
        "The Arrow stream holds more than 64 MiB once it is unpacked.", "Send smaller batches."
    ),
    "SOURCE_LIMIT": Text(
        "The shard has met more sources of this tenant than it keeps apart.",
        "Name the feed as the source, not each sender, document or device.",
    ),
    "ENTITY_NOT_FOUND": Text(
        "No twin has this key.",
        "Look for it with `twin search`; an id is spelt as its source spells it.",
    ),
    "ENTITY_AMBIGUOUS": Text(
        "Twins of two regions have this id.", "Name the region with --region."
    ),
    "FIELD_UNKNOWN": Text(
        "The kind, or the contract of the event, has no such field.",
        "Use one of the fields that the message lists.",
    ),
    "TOO_OLD": Text(
        "No value is as fresh as the request demands.",
        "Ask for an older age, or wait for the next event from its source.",
        again=True,
    ),
    "TOO_UNSURE": Text(
        "A value is less sure than the request demands.",
        "Ask for less confidence, or have such values withheld or labelled (`fallback`).",
    ),
    "BEHIND": Text(
        "The shard does not hold yet what the request says was written or read before.",
        "Ask again: a successor may still be reading its journal.",
        again=True,
    ),
    "CURSOR_INVALID": Text(
        "The cursor was altered, or is another question's or another tenant's.",
        "Ask the same question from the start, without a cursor.",
    ),
    "TABLE_UNKNOWN": Text(
        "A sub-query or a statement names a table that there is not.",
        "Use one of the tables that the message lists.",
    ),
    # events
    "BAD_ID": Text(
        "An id is empty, longer than 128 characters or holds others than letters, digits, . _ : -",
        "Send the event again with a proper id.",
    ),
    "RULE_INVALID": Text(
        "A rule that raises alerts cannot be judged, or a file of rules cannot be read.",
        "Correct what the message names; `twin rules check` says it again, docs/rules.md has all.",
    ),
    "ALERT_STATE": Text(
        "The alert is not in a state in which that can be done to it.",
        "Look at it with `twin get`: it was cleared, or somebody did it before.",
    ),
    "REGION_MISSING": Text(
        "The event names no region, and no rule gives it one.", "Name the region in the event."
    ),
    "WRONG_REGION": Text(
        "The event names a region that this twin does not have.",
        "Name one of the regions that `twin status` lists: any gateway forwards it there.",
    ),
    "IDEMPOTENCY_CONFLICT": Text(
        "The source sent the same event id before, with other content.",
        "Give a new fact a new id; to correct one, send a new event whose `corrects` names it.",
    ),
    "MEDIA_TYPE": Text(
        "The body of a request is of a media type that this address does not read.",
        "Send events as application/json, application/cloudevents+json or its batch form.",
    ),
    "SCHEMA_UNSUPPORTED": Text(
        "No contract is known for this event type and version.",
        "Send one that has a contract, or upgrade and then `twin quarantine redrive`.",
    ),
    "FIELD_MISSING": Text(
        "A field that the contract requires is absent.", "Send the same id again with the field."
    ),
    "OUT_OF_RANGE": Text(
        "A value is outside the range of its contract.",
        "Send the same id again with the right value.",
    ),
    "TIME_OUT_OF_RANGE": Text(
        "A time is before 1990, after 2100, or too far ahead of now.",
        "Send the same id again with the right time, or re-drive it when its day has come.",
    ),
    "NOT_FINITE": Text(
        "A number is NaN or infinite.", "Leave the field out if the value is not known."
    ),
    "TYPE_MISMATCH": Text(
        "A value has another type than its contract says.",
        "Send the same id again with the right type.",
    ),
    "CONTRACT_BROKEN": Text(
        "A contract no longer accepts, or takes to mean something else, what it accepted before.",
        "Leave the old version as it was; append a new version of the type and a step to it.",
    ),
    "CONTRACTS_STALE": Text(
        "The exported contracts are not those of this program.",
        "Write them anew with `twin contracts export`.",
    ),
    # who asks
    "TOKEN_MISSING": Text(
        "The call carries no token.",
        "Send `authorization: Bearer TOKEN`; `twin token` makes one.",
    ),
    "TOKEN_INVALID": Text(
        "The token was not signed by this twin's key, or is damaged.",
        "Make a new one with `twin token`.",
    ),
    "TOKEN_EXPIRED": Text(
        "The token has expired.", "Make a new one with `twin token`, then send the request again."
    ),
    "TOKEN_NOT_YET_VALID": Text(
        "The token begins in the future.", "Correct the clock of the machine that made it."
    ),
    "TOKEN_AUDIENCE": Text(
        "The token is for another region.", "Make one with `twin token --region`."
    ),
    "TOKEN_TOO_LARGE": Text("The token is longer than 4 KiB.", "Send a token of `twin token`."),
    "SCOPE_MISSING": Text(
        "The token does not allow this.", "Make one with `twin token --scope read,write`."
    ),
    "TENANT_MISMATCH": Text(
        "The request is about another tenant than the token's.", "Use a token of that tenant."
    ),
    "CODE_INVALID": Text(
        "The dashboard link was used, is too old or was never made.",
        "Make a new one with `twin status --link`.",
    ),
    # not now
    "OVERLOADED": Text(
        "A queue is full.", "Send it again after the time the message gives.", again=True
    ),
    "SHARD_RECOVERING": Text(
        "The shard is replaying its journal.",
        "Send it again after the time the message gives; `twin status` shows progress.",
        again=True,
    ),
    "SHARD_UNAVAILABLE": Text(
        "The shard, or the gateway before it, does not answer now.",
        "Send it again; if it stays so, look at `twin status` and .twin/logs.",
        again=True,
    ),
    "REGION_UNAVAILABLE": Text(
        "No shard of this region answers now.",
        "Send it again; other regions are not affected.",
        again=True,
    ),
    "UNAVAILABLE": Text(
        "Nobody answers there now.", "Send it again; see `twin status`.", again=True
    ),
    "FENCED": Text(
        "A newer writer took over this shard; whether the events were written is unknown.",
        "Send the same events again: none is counted twice.",
        again=True,
    ),
    "TYPE_RESERVED": Text(
        "Only the twin itself may say this: it derives such events from others.",
        "Send the event that it follows from, or one of another type and source.",
    ),
    "NOT_OWNER": Text(
        "Another shard or region writes this key.", "Locate the key, send it there.", again=True
    ),
    "DISK_FULL": Text(
        "The journal cannot grow; reads go on.",
        "Free space on the disk of the data directory.",
        again=True,
    ),
    "STORAGE_UNAVAILABLE": Text(
        "The storage that [storage] names does not answer, and the shard needs its archive.",
        "Look at the storage and its credentials; shards go on by themselves when it answers.",
        again=True,
    ),
    "COMPACTED": Text(
        "Retention removed these events from the disk, and the archive does not give them.",
        "Set storage.url in twin.toml to the archive that has them, and start the twin again.",
        again=True,
    ),
    "SLOW_CONSUMER": Text(
        "A page or a subscriber did not read its updates as fast as they came.",
        "Go on with the cursor of the last message that was read: nothing is lost; a page does so.",
        again=True,
    ),
    "FUTURE_OFFSET": Text(
        "The cursor is ahead of what the shard holds, as after a disk was lost and restored.",
        "Subscribe anew, without a cursor: what is beyond is not known any more.",
    ),
    "FILTER_TIMED": Text(
        "What the filter or a field says changes as time passes, and a subscription tells events.",
        "Watch fields alone; for what time changes, write a rule that raises an alert.",
    ),
    "AS_OF_FUTURE": Text(
        "The question is about a moment that has not come yet, by the clock of the twin.",
        "Ask about an earlier one; `twin status` says what time it is.",
    ),
    "AS_OF_TOO_EARLY": Text(
        "Nothing had been journaled by the moment that the question names as `known_at`.",
        "Ask what was known later; the journal has nothing older.",
    ),
    "EPOCH_STALE": Text(
        "A newer supervisor of this data directory took over; the older one starts nothing more.",
        "Let the older host end, or end it with `twin down`; `twin status` shows who serves.",
    ),
    "DEADLINE_EXCEEDED": Text(
        "No answer came in time.",
        "Send it again, or ask for less; `twin status` shows what is slow or away.",
        again=True,
    ),
    "RESOURCE_EXHAUSTED": Text(
        "The server has too many calls under way, or a message is too large for it.",
        "Send it again with fewer calls at once, or in smaller batches.",
        again=True,
    ),
    # this process or this disk
    "JOURNAL_FAILED": Text(
        "A write or a sync of the journal failed; the shard ended and recovers from the disk.",
        "Look at the disk (`dmesg`), then at `twin status`.",
    ),
    "JOURNAL_CORRUPT": Text(
        "A checksum of the journal failed, or a file is shorter than it was known to be.",
        "Run `twin journal restore SHARD` if there is an archive; else restore it from a copy.",
    ),
    "JOURNAL_NEWER": Text(
        "A newer version of the program wrote this journal, with what this one does not know.",
        "Install at least the version that the message names, then start the twin again.",
    ),
    "INTERNAL": Text(
        "Something failed that nobody foresaw.",
        "Look in .twin/logs; `twin -v COMMAND` shows where a command failed.",
    ),
    # this machine
    "NOT_RUNNING": Text("No twin runs in this data directory.", "Start one with `twin up`."),
    "ALREADY_RUNNING": Text(
        "A twin runs in this data directory.",
        "Use it, or stop it with `twin down`; another one needs its own --folder and base_port.",
    ),
    "PORT_IN_USE": Text(
        "Another process holds a port that the twin needs.",
        "End that process, or set base_port in twin.toml (or TWIN_BASE_PORT).",
    ),
    "START_FAILED": Text(
        "The twin did not start.", "Read the first error and the log that the message names."
    ),
    "STOP_FAILED": Text(
        "A process of the twin could not be ended.", "End it by the pid that the message names."
    ),
    "CONFIG_UNKNOWN": Text(
        "twin.toml or a TWIN_ variable sets a key nobody knows.",
        "Spell it as `twin doctor` does, or remove it.",
    ),
    "CONFIG_INVALID": Text(
        "A value in twin.toml or a TWIN_ variable is not allowed.",
        "Correct what the message names.",
    ),
    "EXTRA_MISSING": Text(
        "The command needs packages that are not installed.",
        "Install them: pip install 'supply-twin[arrow,server,ml]'.",
    ),
    # data and models
    "MODEL_UNKNOWN": Text(
        "No model has this name or version.", "Ask /v2/models for what there is."
    ),
    "MODEL_GATE_FAILED": Text(
        "The model is worse than the lane table, broken, or made for another build.",
        "Train it anew with `twin train`; the one before it, or the lane table, keeps answering.",
    ),
    "TRAIN_DATA_SHORT": Text(
        "Too few deliveries to learn from, or to test on.", "Ingest more, or move --as-of."
    ),
    "TRAIN_FAILED": Text(
        "Ray Train could not finish.", "Try again, or train in this process: `twin train --inline`."
    ),
    "SERVE_FAILED": Text(
        "Ray Serve does not run the model; the lane table answers predictions, and says so.",
        "Read the cause that `twin status` shows, then `twin down` and `twin up`.",
    ),
    "SERVE_UNAVAILABLE": Text(
        "No replica of the model answers now; it takes half a minute to join after `twin up`.",
        "Send it again, or ask the gateway's /v1/predict/eta: it has the lane table.",
        again=True,
    ),
    "ALREADY_DELIVERED": Text(
        "The shipment has arrived, so there is nothing to predict.",
        "Read delivered_at with `twin get`.",
    ),
    "TENSOR_UNKNOWN": Text(
        "The request has a tensor that the model does not, or lacks one.",
        "Send the tensors that /v2/models/eta lists.",
    ),
    "DATATYPE_MISMATCH": Text(
        "A tensor has another datatype than the model's.", "Send the one /v2/models/eta lists."
    ),
    "SHAPE_MISMATCH": Text(
        "A tensor's shape does not fit its data or the model.", "Send the shape the model lists."
    ),
    "OUTPUT_UNKNOWN": Text("The model has no such output.", "Ask for one /v2/models/eta lists."),
    "FILE_UNREADABLE": Text("The file cannot be read as what it is.", "Check its path and form."),
    "ROW_MALFORMED": Text(
        "A row of the file cannot be taken apart; it is parked and counted.", "Correct the row."
    ),
    "VALUE_UNREADABLE": Text(
        "A cell does not hold what the mapping expects; its row is parked and counted.",
        "Correct the cell, or the mapping.",
    ),
    "VALUE_UNKNOWN": Text(
        "A cell's word is not in the table of the mapping; its row is parked and counted.",
        "Add the word to the mapping's table.",
    ),
    "MAPPING_INVALID": Text(
        "The mapping says something that cannot be.", "Correct what the message names."
    ),
    "CLOCK_MISSING": Text(
        "The data directory has no replay clock, so the demo cannot go on.",
        "Start it with `twin up --demo` in a new data directory.",
    ),
    "SNAPSHOT_UNKNOWN": Text(
        "No kept snapshot has this name.", "Leave --snapshot out: the study forks the live state."
    ),
    "SNAPSHOT_INVALID": Text(
        "A kept snapshot is damaged or of another build.", "Fork again without --snapshot."
    ),
    "SCENARIO_TOO_LARGE": Text(
        "The scenario asks for more than one study may take.", "Split it, or ask for fewer futures."
    ),
    "MODEL_MISSING": Text(
        "No model is published in this data directory.",
        "Train one with `twin train`; until then the lane table answers and says so.",
    ),
    "MODEL_HASH_MISMATCH": Text(
        "A model file is not the one its manifest describes.",
        "Train and publish it anew; the model before it keeps serving.",
    ),
    "MAPPING_UNKNOWN": Text(
        "No mapping has this name.", "Use one that the message lists, or a file."
    ),
    "COLUMN_UNKNOWN": Text(
        "The mapping names a column that the file does not have.",
        "Correct the mapping, or the header of the file.",
    ),
    "SCENARIO_INVALID": Text(
        "The scenario names something unknown or impossible.", "Correct what the message names."
    ),
} | SQL_TEXTS
