"""Texts that no page may fall for, and what a browser makes of a page."""

from html.parser import HTMLParser

HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "a\nb\r\n\x1b[31mred\x00\ufffe",
    "](javascript:alert(1)) | `x` **b** @user #1",
    "{{ 7 * 7 }}{% raw %}",
    '" onload="x',
    "../../etc/passwd",
    "é😀\u202e",
    "x" * 10_000,
]


class Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)
