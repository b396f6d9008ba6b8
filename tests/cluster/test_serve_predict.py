"""What `twin predict` prints: dates beside the baseline, who answered, and how sure."""

from cluster.commands.predict import lines

ANSWER = {
    "id": "86606",
    "region": "east",
    "promised_at": "2013-09-21T00:00:00Z",
    "eta_baseline": "2013-09-25T12:00:00Z",
    "eta_p10": "2013-09-22T09:36:00Z",
    "eta_p50": "2013-09-26T12:00:00Z",
    "eta_p90": "2013-09-30T02:24:00Z",
    "late_p": 0.9,
    "confidence": 0.5,
    "inputs_confidence": 0.9,
    "inputs_age_ms": 86_400_000,
    "as_of": "2013-09-01T01:46:40Z",
    "answered_by": "model/eta@1",
    "mode": "normal",
}


def test_a_prediction_is_printed_beside_its_promise_and_baseline():
    said = lines(ANSWER)

    dates = [line.split()[:2] for line in said[1:6]]
    assert dates == [
        ["promised", "2013-09-21"],
        ["baseline", "2013-09-25"],
        ["p10", "2013-09-22"],
        ["p50", "2013-09-26"],
        ["p90", "2013-09-30"],
    ]
    assert "90%" in said[6]
    assert said[7] == (
        "  answered by model/eta@1   confidence 0.50   inputs 24 h old, confidence 0.90"
    )


def test_a_degraded_answer_says_why_and_what_to_do():
    rule = ANSWER | {
        "answered_by": "rule/lane-median@1",
        "mode": "degraded",
        "reason": "MODEL_MISSING",
        "remedy": "no model is promoted yet; run `twin train`",
    }

    said = lines(rule)

    assert "rule/lane-median@1" in said[-2]
    assert said[-1].endswith("MODEL_MISSING: no model is promoted yet; run `twin train`")


def test_what_is_not_known_is_a_dash_not_a_date():
    unknown = ANSWER | {"eta_p50": None, "late_p": None, "confidence": None}

    said = lines(unknown)

    assert said[4].split()[:2] == ["p50", "-"]
    assert "confidence -" in said[-1]
