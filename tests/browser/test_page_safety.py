"""Whatever a model, a tool or a name says stays text; the key stays where it belongs."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.support.browsers import PAGE_SOURCES, Served, Visitor, call

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1)) [y](data:text/html,<script>alert(1)</script>) [z]( jAvAsCrIpT:alert(1))",
    "![p](https://evil.example/pixel.png) <svg/onload=alert(1)>",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    "`</code><iframe src=javascript:alert(1)>`",
    "[**<b onmouseover=alert(1)>**](https://good.example/?q=%22onmouseover=alert(1))",
    "&lt;script&gt; &#60;script&#62; \u202e\u0000 <style>*{display:none}</style>",
    "* " * 400 + "**" * 400 + "[" * 400 + "_a" * 400 + "`" * 401 + "> " * 400,
)
ALLOWED = {"P", "BR", "CODE", "PRE", "A", "STRONG", "EM", "DEL", "UL", "OL", "LI", "BLOCKQUOTE", "HR", "H3", "H4"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that wants a key."""
    with Served(tmp_path_factory.mktemp("guarded"), LETTA_GRPC_API_KEYS="right-key") as running:
        running.api.headers["authorization"] = "Bearer right-key"
        yield running


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_shown_as_text(server: Served, visitor: Visitor, text: str) -> None:
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    block = {"label": "human", "value": text[:100]}
    visitor.open(server.url, server.agent(f"{text[:80]}", memoryBlocks=[block], description=text[:100]))
    script = [[{"reasoning": text}, {"text": text}, call("memory_insert", label=text, text=text)], [{"text": text}]]
    visitor.play(*script)
    visitor.settled()
    prose = visitor.page.locator(".message.agent .prose").last
    tags = prose.evaluate("root => [...root.querySelectorAll('*')].map(one => one.tagName)")
    assert set(tags) <= ALLOWED
    found = visitor.page.locator("#log").evaluate(
        """root => [...root.querySelectorAll('*')].flatMap(one => [...one.attributes].map(each => [each.name, each.value]))"""
    )
    assert not [name for name, _ in found if name.startswith("on") or name in {"style", "srcdoc", "formaction"}]
    assert all(value.startswith(("https://", "http://", "mailto:")) for name, value in found if name == "href")
    assert all(value == "noopener noreferrer nofollow" for name, value in found if name == "rel")
    assert visitor.page.locator("script").count() == 1
    assert all(url.startswith((server.url, "data:")) for url in asked), asked


def test_the_page_has_no_way_to_parse_html() -> None:
    ways = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment", "eval(")
    for path in [*PAGE_SOURCES.glob("src/*.ts"), PAGE_SOURCES.parent / "static/page/page.js"]:
        assert [way for way in ways if way in path.read_text()] == [], path


def test_the_policy_holds_without_exceptions(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent())
    visitor.page.evaluate(
        "() => { const made = document.createElement('script'); made.text = 'window.ran = 1'; document.body.append(made); }"
    )
    assert visitor.page.evaluate("() => window.ran") is None
    assert "Content Security Policy" in " ".join(visitor.problems)
    visitor.problems.clear()


def test_markdown_is_shown_as_what_it_means(server: Served, visitor: Visitor) -> None:
    text = (
        "# Title\n\nA **strong** and *soft* ~~gone~~ `code` https://a.example/x_y_z.\nnext line\n\n"
        "1. one\n   - inner\n2. two\n\n> quote\n\n---\n\n```python\nif a < b:\n    pass\n```\n\nsnake_case_name 2 * 3 * 4 [o"
    )
    visitor.open(server.url, server.agent())
    visitor.play([{"text": text[at : at + 3]} for at in range(0, len(text), 3)])
    visitor.settled()
    shown = visitor.page.locator(".message.agent .prose").evaluate("root => root.innerHTML")
    assert shown == (
        '<h3 dir="auto">Title</h3><p dir="auto">A <strong>strong</strong> and <em>soft</em> <del>gone</del> <code>code</code> '
        '<a href="https://a.example/x_y_z" target="_blank" rel="noopener noreferrer nofollow">https://a.example/x_y_z</a>.'
        '<br>next line</p><ol start="1" dir="auto"><li><p>one</p><ul><li><p>inner</p></li></ul></li><li><p>two</p></li></ol>'
        '<blockquote dir="auto"><p>quote</p></blockquote><hr>'
        '<pre tabindex="0" role="group" aria-label="Code, python" dir="auto"><code>if a &lt; b:\n    pass</code></pre>'
        '<p dir="auto">snake_case_name 2 * 3 * 4 [o</p>'
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("***bold it***", "<em><strong>bold it</strong></em>"),
        ("___bold it___", "<em><strong>bold it</strong></em>"),
        ("***both** one*", "<em><strong>both</strong> one</em>"),
        ("***both* two**", "<strong><em>both</em> two</strong>"),
        ("**two *both***", "<strong>two <em>both</em></strong>"),
        ("*one **both***", "<em>one <strong>both</strong></em>"),
        ("a ***b*** c **d** *e*", "a <em><strong>b</strong></em> c <strong>d</strong> <em>e</em>"),
        ("***open and **two**", "***open and <strong>two</strong>"),
        ("**one *not**", "<strong>one *not</strong>"),
        ("*one **not*", "<em>one **not</em>"),
        ("*a `*` b* \\*c d*", "<em>a <code>*</code> b</em> *c d*"),
        ("2 * 3 ** 4 *** 5", "2 * 3 ** 4 *** 5"),
        ("snake___case", "snake___case"),
    ],
)
def test_marks_in_a_row_are_strong_and_soft(server: Served, visitor: Visitor, text: str, shown: str) -> None:
    visitor.open(server.url, server.agent())
    visitor.play([{"text": text}])
    visitor.settled()
    assert visitor.page.locator(".message.agent .prose > p").evaluate("root => root.innerHTML") == shown


def test_the_key_is_asked_for_kept_in_the_tab_and_sent_as_a_header_alone(guarded: Served, visitor: Visitor) -> None:
    agent_id = guarded.agent(model="scripted/echo")
    urls: list[str] = []
    visitor.page.on("request", lambda request: urls.append(request.url))
    visitor.open(guarded.url)
    dialog = visitor.page.get_by_role("dialog")
    expect(dialog).to_contain_text("This server wants an API key.")
    dialog.get_by_label("Key", exact=True).fill("right-key")
    dialog.get_by_label("Key", exact=True).press("Enter")
    expect(visitor.page.get_by_label("Agent", exact=True)).to_have_value(agent_id)
    visitor.settled()
    visitor.write("hello")
    visitor.settled()
    assert visitor.answers == ["hello"]
    visitor.page.reload()
    expect(visitor.page.locator(".message.agent .prose")).to_have_text("hello")
    assert not [url for url in urls if "right-key" in url]
    assert visitor.page.evaluate("() => [localStorage.length, document.cookie]") == [0, ""]
    assert all("401" in problem for problem in visitor.problems)
    visitor.problems.clear()


@pytest.mark.parametrize("key", ["ключ", "sékret"])
def test_a_key_that_no_header_can_carry_is_told_in_the_dialog(guarded: Served, visitor: Visitor, key: str) -> None:
    agent_id = guarded.agent()
    visitor.open(guarded.url)
    dialog = visitor.page.get_by_role("dialog")
    field = dialog.get_by_label("Key", exact=True)
    field.fill(key)
    field.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text(
        "A key has only letters, digits and signs of ASCII: a header takes no others."
    )
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(visitor.page.get_by_text("Connecting again…")).to_be_hidden()
    field.fill("right-key")
    field.press("Enter")
    expect(dialog).to_be_hidden()
    expect(visitor.page.get_by_label("Agent", exact=True)).to_have_value(agent_id)
    visitor.settled()
    visitor.page.get_by_role("button", name="API key").click()
    expect(dialog.get_by_role("alert")).to_have_count(0)
    assert all("401" in problem for problem in visitor.problems)
    visitor.problems.clear()


def test_a_page_that_may_not_begin_says_so_and_waits_for_nothing(server: Served, visitor: Visitor) -> None:
    failure = {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "Not for you.", "details": []}}
    visitor.page.route("**/api/v1/agents?*", lambda route: route.fulfill(status=403, json=failure))
    visitor.open(server.url)
    expect(visitor.page.get_by_text("Not for you.")).to_be_visible()
    visitor.settled("closed")
    expect(visitor.page.get_by_text("No agents yet")).to_be_hidden()
    assert all("403" in problem for problem in visitor.problems)
    visitor.problems.clear()


def test_without_a_key_the_page_is_closed_and_the_dialog_can_come_back(guarded: Served, visitor: Visitor) -> None:
    visitor.open(guarded.url)
    dialog = visitor.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    visitor.settled("closed")
    visitor.page.get_by_role("button", name="API key").click()
    dialog.get_by_label("Key", exact=True).fill("wrong-key")
    dialog.get_by_role("button", name="Use it").click()
    expect(dialog).to_contain_text("This server wants an API key.")
    visitor.settled("closed")
    assert all("401" in problem for problem in visitor.problems)
    visitor.problems.clear()
