"""The built site: it asks no other site for anything, and every page opens in a browser."""

import functools
import html
import http.server
import json
import logging
import re
import shutil
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage"
)
WIDTHS = (390, 1280)
"""Pixels: of a phone, and of a laptop."""
SEARCHES = [
    ("anomaly", "guides/anomaly/"),
    ("outlier", "guides/anomaly/"),
    ("out-of-distribution", "guides/anomaly/"),
    ("inpainting", "ideas/order/"),
    ("text to image", "ideas/gan/"),
    ("puzzle", "ideas/gan/"),
    ("counterfeiter", "ideas/gan/"),
    ("multi-head attention", "ideas/attention/"),
    ("log-likelihood", "ideas/likelihood/"),
    ("markov assumption", "ideas/markov/"),
    ("conditional independence", "ideas/markov/"),
    ("bayes' rule", "ideas/bayes/"),
    ("receptive field", "ideas/receptive/"),
    ("notebook", "guides/notebook/"),
    ("pytorch", "guides/pytorch/"),
    ("cite", "guides/cite/"),
    ("homework", "plugins/homework/"),
    ("gpu", "guides/machines/"),
]
"""What people type, and the page that they look for."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built into a folder of its own."""
    build = pytest.importorskip("mkdocs.commands.build")
    config = pytest.importorskip("mkdocs.config")
    folder = tmp_path_factory.mktemp("site")
    logging.getLogger("mkdocs").setLevel(logging.ERROR)  # CI builds it strictly
    build.build(config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    return folder


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def pages(site: Path) -> list[Path]:
    return sorted(path for path in site.rglob("*.html") if path.name != "404.html")


def loads(tag: str, attributes: dict[str, str | None]) -> str:
    """The address from which a browser fetches something by itself; else an empty text."""
    if tag == "link" and attributes.get("rel") in ("canonical", "prev", "next"):
        return ""
    key = "href" if tag == "link" else "src"
    loading = tag in ("audio", "iframe", "img", "link", "script", "source", "video")
    return (attributes.get(key) or "") if loading else ""


def test_nothing_is_fetched_from_another_site(site: Path) -> None:
    for page in pages(site):
        for tag, attributes in Tags(page).found:
            assert "//" not in loads(tag, attributes), f"{page.relative_to(site)}: {attributes}"
    for sheet in site.rglob("*.css"):
        text = sheet.read_text("utf-8")
        assert "url(http" not in text and "url(//" not in text and "@import" not in text, sheet


@pytest.mark.parametrize(("typed", "page"), SEARCHES)
def test_the_search_finds_what_people_type_in_the_titles(site: Path, typed: str, page: str) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    titles = [(d["location"], html.unescape(d["title"]).lower()) for d in index["docs"]]
    stem = re.compile("".join(rf"\b{re.escape(word)}\w*\W*" for word in typed.split()))
    found = [where for where, title in titles if stem.search(title)]
    assert any(where.startswith(page) for where in found), found


def test_every_picture_is_there_and_described(site: Path) -> None:
    pictures = 0
    for page in pages(site):
        for tag, attributes in Tags(page).found:
            if tag != "img":
                continue
            pictures += 1
            source = attributes.get("src") or ""
            assert len((attributes.get("alt") or "").split()) > 1, f"{page}: {source}"
            assert (page.parent / source).is_file(), f"{page}: {source}"
    assert pictures > 3


def test_formulas_are_typeset_without_a_script(site: Path) -> None:
    for name in ("chain-rule", "markov", "elbo", "attention", "bayes", "gan"):
        text = (site / "ideas" / name / "index.html").read_text("utf-8")
        assert '<div class="formula" tabindex="0"><math' in text and "$$" not in text, name
        assert "<mi>log</mi><mi>" not in text, f"{name}: no space behind a logarithm"
        beside = re.search("<msub(sup)?><mo>(min|max)", text)
        assert beside is None, f"{name}: what is chosen by a minimum stands below it, by \\limits"


# In a browser


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with an empty profile."""
    webdriver = pytest.importorskip("selenium.webdriver")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(DRIVER)
    with webdriver.Chrome(options, service) as driver:
        yield driver


def complaints(browser: Any, address: str) -> list[str]:
    """What the console says, what failed to load, and what was asked of another site."""
    found = [entry["message"] for entry in browser.get_log("browser")]
    asked = set()  # the browser has requests of its own, which no page sent
    for entry in browser.get_log("performance"):
        event = json.loads(entry["message"])["message"]
        told = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            url = told["request"]["url"]
            asked.add(told["requestId"])
            if url.startswith("http") and not url.startswith(address):
                found.append(f"asked for {url}")
        elif event["method"] == "Network.responseReceived" and told["response"]["status"] >= 400:
            found.append(f"{told['response']['status']}: {told['response']['url']}")
        elif event["method"] == "Network.loadingFailed" and told["requestId"] in asked:
            found += [f"failed: {told['errorText']}"] * (not told.get("canceled"))
    return found


def resize(browser: Any, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False},
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_opens(width: int, browser: Any, address: str, site: Path) -> None:
    resize(browser, width)
    for page in pages(site):
        browser.get(f"{address}/{page.parent.relative_to(site)}/".replace("/./", "/"))
        assert complaints(browser, address) == [], page
        assert browser.find_element("css selector", "article h1").text
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{page}: {wide} pixels wide"


@pytest.mark.parametrize("width", WIDTHS)
def test_search_finds_an_entry(width: int, browser: Any, address: str) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    resize(browser, width)
    browser.get(address + "/")
    browser.execute_script("document.querySelector('[data-md-toggle=search]').click()")
    field = browser.find_element("css selector", "[data-md-component=search-query]")
    wait = WebDriverWait(browser, 20)
    wait.until(lambda _: field.is_displayed() and field.is_enabled())
    field.send_keys("row lstm")
    results = "[data-md-component=search-result] .md-search-result__item"
    first = wait.until(lambda b: b.find_elements("css selector", results))[0]
    assert "row" in first.text.lower() and "lstm" in first.text.lower()
    assert complaints(browser, address) == []


def test_the_search_finds_what_people_type(browser: Any, address: str) -> None:
    """Among the first three pages, of all that has the words."""
    from selenium.webdriver.support.wait import WebDriverWait

    resize(browser, 1280)
    browser.get(address + "/")
    browser.execute_script("document.querySelector('[data-md-toggle=search]').click()")
    field = browser.find_element("css selector", "[data-md-component=search-query]")
    wait = WebDriverWait(browser, 20)
    wait.until(lambda _: field.is_displayed() and field.is_enabled())

    def found(*_: Any) -> list[str]:
        links = "[...document.querySelectorAll('.md-search-result__item a')].map(a => a.pathname)"
        return list(dict.fromkeys(browser.execute_script(f"return {links}")))

    for typed, page in SEARCHES:
        for text in ("", typed):  # at once: results of its beginnings would come first
            browser.execute_script(
                "arguments[0].value = arguments[1];"
                "arguments[0].dispatchEvent(new Event('keyup', {bubbles: true}))",
                field,
                text,
            )
            wait.until(lambda _, text=text: bool(found()) == bool(text), f"searching {text!r}")
        assert f"/{page}" in found()[:3], (typed, found())
    assert complaints(browser, address) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_gallery_can_be_filtered(width: int, browser: Any, address: str) -> None:
    """By its menus and by its address; as many pictures are seen as it says, and of that kind."""
    resize(browser, width)
    browser.get(f"{address}/gallery/")
    figures = browser.find_elements("css selector", "#gallery figure")
    facets = browser.find_elements("css selector", "#gallery-filter select")
    assert [facet.get_attribute("name") for facet in facets] == ["family", "data", "kind"]
    for facet in facets:
        name = facet.get_attribute("name")
        options = facet.find_elements("css selector", "option")
        for option in (*options[1:], options[0]):
            option.click()
            wanted = option.get_attribute("value")
            seen = [figure for figure in figures if figure.is_displayed()]
            fitting = [f for f in figures if wanted in ("", f.get_attribute(f"data-{name}"))]
            assert seen == fitting
            status = browser.find_element("css selector", "#gallery-filter output").text
            assert status == f"{len(seen)} of {len(figures)}"
    browser.get(f"{address}/gallery/?again#data=mnist")
    figures = browser.find_elements("css selector", "#gallery figure")
    assert 0 < sum(figure.is_displayed() for figure in figures) < len(figures)
    assert complaints(browser, address) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_models_can_be_filtered_and_sorted(width: int, browser: Any, address: str) -> None:
    resize(browser, width)
    browser.get(f"{address}/models/")
    field = browser.find_element("css selector", "#models-filter")
    field.send_keys("nltcs nade")
    rows = browser.find_elements("css selector", "article tbody tr")
    assert [row.text.split()[0] for row in rows if row.is_displayed()] == ["nade.nltcs"]
    field.clear()
    field.send_keys(" ")
    heading = browser.find_elements("css selector", "article th:nth-child(3)")[-1]
    for turn in ("ascending", "descending"):
        browser.execute_script("arguments[0].querySelector('button').click()", heading)
        assert heading.get_attribute("aria-sort") == turn
        table = heading.find_element("xpath", "ancestor::table")
        cells = table.find_elements("css selector", "td:nth-child(3)")
        numbers = [int(cell.get_attribute("textContent").replace(",", "")) for cell in cells]
        assert numbers == sorted(numbers, reverse=turn == "descending") and len(numbers) > 5
    assert complaints(browser, address) == []


# The page that plays

FIT = 1e-4
"""By how much a number of the page may differ from Python's: |y − ŷ| / (1 + |ŷ|)."""


@pytest.fixture
def playing(browser: Any, address: str, site: Path) -> Any:
    """The page, when it has read what there is; its models are loaded as they are asked for."""
    manifest = json.loads((site / "play" / "manifest.json").read_text())
    if manifest["runtime"] is None or not manifest["models"]:
        pytest.skip(
            "the site was built without onnxruntime-web or without models: npm and zoo-core[onnx] "
            "are needed, and npm's registry"
        )
    browser.set_script_timeout(600)
    browser.get(f"{address}/play/")
    browser.execute_async_script("zooPlay.ready.then(arguments[0])")
    return browser


def test_the_page_computes_what_python_computed(playing: Any, address: str, site: Path) -> None:
    manifest = json.loads((site / "play" / "manifest.json").read_text())
    off = playing.execute_async_script(
        "const done = arguments[0]; zooPlay.check().then(done, (error) => done(String(error)))"
    )
    assert isinstance(off, dict), off
    functions = [
        f"{name} {f}" for name, model in manifest["models"].items() for f in model["functions"]
    ]
    assert sorted(off) == sorted(functions) and len(manifest["models"]) >= 12
    assert {name: by for name, by in off.items() if not by < FIT} == {}
    assert manifest["bytes"] <= 40_000_000
    assert complaints(playing, address) == []


def test_a_digit_is_drawn_by_keyboard_and_scored(playing: Any, address: str) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    resize(playing, 390)
    board = playing.find_element("css selector", "#zoo-play .zp-draw")
    board.send_keys(Keys.ARROW_LEFT, Keys.SPACE, Keys.ARROW_DOWN, Keys.SPACE)
    (button,) = [
        button
        for button in playing.find_elements("css selector", "#zoo-play button")
        if button.text == "Nats by each model"
    ]
    button.click()
    WebDriverWait(playing, 300).until(lambda _: button.is_enabled())
    cells = playing.find_elements("css selector", "#zoo-play .zp-nats td:nth-child(2)")
    assert len(cells) >= 6 and all(10 < float(cell.text) < 1000 for cell in cells)
    assert complaints(playing, address) == []


def test_a_face_gets_another_hair_colour_by_keyboard(playing: Any, address: str) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    resize(playing, 390)
    section = playing.find_element("xpath", "//section[h2[contains(., 'Attributes')]]")
    picture = section.find_element("css selector", "canvas")
    seen = {playing.execute_script("return arguments[0].toDataURL()", picture)}
    for slider in section.find_elements("css selector", "input[type=range]")[:2]:
        slider.send_keys(Keys.ARROW_RIGHT * 10)

        def changed(driver: Any) -> bool:
            return driver.execute_script("return arguments[0].toDataURL()", picture) not in seen

        WebDriverWait(playing, 300).until(changed)
        seen.add(playing.execute_script("return arguments[0].toDataURL()", picture))
    assert complaints(playing, address) == []


def test_a_face_is_translated_to_another_hair_colour_by_keyboard(
    playing: Any, address: str
) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    resize(playing, 390)
    section = playing.find_element("xpath", "//section[h2[contains(., 'stargan.faces-hair')]]")
    picture = section.find_elements("css selector", "canvas")[1]
    colours = section.find_element("css selector", "select")
    seen = {playing.execute_script("return arguments[0].toDataURL()", picture)}
    for colour in ("brown", "red"):
        colours.send_keys(Keys.ARROW_DOWN)

        def changed(driver: Any) -> bool:
            return driver.execute_script("return arguments[0].toDataURL()", picture) not in seen

        WebDriverWait(playing, 300).until(changed)
        seen.add(playing.execute_script("return arguments[0].toDataURL()", picture))
        assert f"--to {colour} --input" in section.text
    assert complaints(playing, address) == []


def test_a_prompt_of_other_characters_is_refused_as_by_the_command(playing: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    section = playing.find_element("xpath", "//section[h2[contains(., 'From a text')]]")
    field, button, note = (
        section.find_element("css selector", part) for part in ("input", "button", ".zp-status")
    )
    field.clear()
    field.send_keys("é")
    button.click()
    assert "does not read é; it reads" in note.text
    field.clear()
    field.send_keys("Smiling, cat-face")  # as Python, which reads blanks for punctuation
    button.click()
    WebDriverWait(playing, 300).until(lambda _: button.is_enabled())
    assert note.text == ""
