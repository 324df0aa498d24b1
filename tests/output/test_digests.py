"""Digests are those that kept numbers were named by."""

from hashlib import blake2b

from xaudio.plugin import digest_bytes, digest_text


def test_parts_follow_one_another():
    assert digest_bytes([b"ab", b"", b"c"]) == digest_bytes(iter([b"abc"])) == blake2b(b"abc", digest_size=16).hexdigest()


def test_texts_and_numbers_have_blanks_between_them():
    assert digest_text("é", 1, [2, "x"]) == blake2b("é 1 [2, 'x']".encode(), digest_size=16).hexdigest()
    assert digest_text("a", "b") != digest_text("ab")
