from orthotune.tuning.nodes import last_line


def test_the_last_line_of_an_error_shows_no_password():
    err = RuntimeError("Traceback\n  OSError: s3://AK:se/cret@b/p is not there.\n")
    assert last_line(err) == "OSError: s3://AK:HIDDEN@b/p is not there"


def test_an_error_without_words_is_named():
    assert last_line(ValueError()) == "ValueError()"
