"""The report in a real browser."""

import re
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import require
from copies import ROOT
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from rotvar.catalogue import DATASETS
from rotvar.figures import theme
from rotvar.figures.distribution import distribution
from rotvar.figures.heatmap import heatmap
from rotvar.report import graph, numbers, page

TEMPLATE = ROOT / "workflow" / "report" / "report.html.j2"
EXAMPLE = ROOT / "docs" / "example" / "figures"
BOTH = ["mean", "spatial"]
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    require(found, "there is no Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


class Opened:
    """A report in a window of the browser, and what went wrong in it."""

    def __init__(self, browser: Browser, report: Path, **options: Any) -> None:
        self.report = report
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())


@pytest.fixture
def opened(study: Path, browser: Browser) -> Iterator[Opened]:
    """The finished study's report; whatever a test does with it, nothing may be asked for or complained about."""
    opened = Opened(browser, study / "results" / "report.html")
    yield opened
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [opened.report.as_uri()]
    opened.page.close()


def load(image: Locator) -> None:
    """Scroll to an image; it must have loaded, with all of its pixels."""
    image.scroll_into_view_if_needed()
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => image.naturalWidth") >= 2 * int(image.get_attribute("width")) > 0


def seconds_to_open(opened: Opened) -> float:
    """The seconds of the processor that the page's own process has taken until its first image is there."""
    load(opened.page.locator("img").first)
    session = opened.page.context.new_cdp_session(opened.page)
    session.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["ProcessTime"])


def switched(kind: Locator) -> Iterator[Locator]:
    """Each figure of a kind, as all settings of its switches show them."""
    groups = [fieldset.locator("label") for fieldset in kind.locator("fieldset").all()]
    selects = kind.locator("select[data-label]").all()
    options = [select.locator("option").all() for select in selects]
    for labels in product(*(group.all() for group in groups)):
        for chosen in product(*options):
            for label in labels:
                label.click()
            for select, option in zip(selects, chosen, strict=True):
                select.select_option(option.get_attribute("value"))
            yield kind.locator("figure:visible")


def test_every_category_is_reached_from_the_contents(opened: Opened) -> None:
    links = opened.page.locator("nav a").all()
    assert len(links) == opened.page.locator("section").count() + 1
    for link in links[1:]:
        link.click()
        section = opened.page.locator(link.get_attribute("href"))
        opened.page.wait_for_function(
            "s => Math.abs(s.getBoundingClientRect().top) < 300", arg=section.element_handle()
        )
        assert link.inner_text() in ("The study", section.locator("h2").first.inner_text())
        for image in section.locator("img:visible").all():
            load(image)


def test_switches_show_every_figure_of_the_study(opened: Opened, study: Path) -> None:
    shown = set()
    for kind in opened.page.locator(".kind").all():
        for figure in switched(kind):
            assert figure.count() == 1
            load(figure.locator("img"))
            shown |= {link.get_attribute("href") for link in figure.locator("figcaption a").all()}
    drawn = {str(file.relative_to(study / "results")) for file in (study / "results" / "figures").rglob("*.*g")}
    assert {link for link in shown if not link.startswith("#")} == drawn


def test_the_landing_page_says_what_was_run(opened: Opened) -> None:
    text = opened.page.locator("#study").inner_text()
    assert "4 networks" in opened.page.locator("header").inner_text()
    for expected in (
        "Digits: 60 training and 40 test images",
        "SimpleConv",
        "rotated: each image by its own rotation (within 180)",
        "0, 1",
        "4, every 90°",
        "all jobs together",
        "torch 2",
    ):
        assert expected in text
    assert opened.page.locator("#study figure").count() == 3
    accuracy = pd.read_csv(opened.report.parent / "tables" / "accuracy.csv").set_index(["training", "test"])["accuracy"]
    rows = opened.page.get_by_role("table", name="The study in numbers").locator("tbody tr").all()
    for row, training in zip(rows, ("unrotated", "rotated"), strict=True):
        shown = [cell.inner_text() for cell in row.locator("td").all()]
        tested = [f"{accuracy[training, test]:.3f}" for test in ("unrotated", "rotated")]
        assert shown[:5] == ["Digits", "SimpleConv", training, *tested]


def test_the_keyboard_changes_a_switch(opened: Opened) -> None:
    stratum = opened.page.locator("#heatmaps select")
    stratum.focus()
    opened.page.keyboard.press("ArrowDown")
    figure = opened.page.locator("#heatmaps figure:visible")
    expect(figure).to_have_attribute("data-labels", re.compile('"stratified"}$'))


def test_tables_sort_and_filter(opened: Opened) -> None:
    table = opened.page.locator("#tables .table").first
    heading = table.get_by_role("columnheader", name="global value")

    def values() -> list[float]:
        return [float(row.locator("td").nth(6).inner_text()) for row in table.locator("tbody tr:visible").all()]

    heading.get_by_role("button").click()
    assert values() == sorted(values())
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").press("Enter")
    assert values() == sorted(values(), reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"
    assert len(values()) == 16  # 2 trainings x 2 strata x 4 aggregations
    table.get_by_label("training").select_option("rotated")
    assert len(values()) == 8


def test_links_lead_to_files_and_places(opened: Opened) -> None:
    links = {link.get_attribute("href") for link in opened.page.locator("a").all()}
    outside = {link for link in links if re.match("https:|data:", link)}
    assert len(outside) == 5  # the paper, and four tables to save
    for link in links - outside:
        if link.startswith("#"):
            assert opened.page.locator(link).count() == 1
        else:
            assert (opened.report.parent / link).is_file()


def test_a_table_can_be_saved_from_the_report_alone(opened: Opened) -> None:
    with opened.page.expect_download() as download:
        opened.page.get_by_role("link", name="Save as CSV").first.click()
    assert download.value.suggested_filename == "global_variance.csv"
    saved = Path(download.value.path()).read_text()
    assert saved == (opened.report.parent / "tables" / "global_variance.csv").read_text()
    opened.requests = [url for url in opened.requests if not url.startswith("data:")]


def test_paper_shows_figures_and_no_switches(opened: Opened) -> None:
    opened.page.emulate_media(media="print")
    assert opened.page.locator(".switches:visible, nav:visible").count() == 0
    for image in opened.page.locator("img:visible").all():
        load(image)


def test_without_scripts_every_figure_is_there(study: Path, browser: Browser) -> None:
    opened = Opened(browser, study / "results" / "report.html", java_script_enabled=False)
    assert opened.page.locator("figure:visible").count() == opened.page.locator("figure").count() > 15
    opened.page.close()


def render(figures: list[page.Figure], networks: pd.DataFrame, text: str = "a text") -> str:
    names = {figure.caption for figure in figures} | {"measure", "numbers", "workflow"}
    return page.render(
        TEMPLATE,
        figures,
        figures[:3],
        [],
        {name: f"# {name}\n{text}" for name in names},
        title=text,
        subtitle=text,
        study=[(text, [text])],
        networks=numbers.table(networks),
        numbers=numbers.table(networks),
        jobs=numbers.table(networks),
        graph=page.Markup(graph.svg({"plot": []})),
        rules=[
            {
                "name": "plot",
                "message": text,
                "script": text,
                "reads": {"count": 1, "first": [text]},
                "writes": {"count": 0, "first": []},
            }
        ],
    )


def test_a_class_called_script_does_no_harm(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does any other text that comes from data or configuration."""
    classes = (SCRIPT, "\" onload='alert(2)' x=\"")
    hostile = DATASETS["digits"].__class__(SCRIPT, 1, 32, classes, 10, 10)
    monkeypatch.setitem(DATASETS, "digits", hostile)
    figures = [
        page.Figure(
            EXAMPLE / "global_variance.png",
            f'"onmouseover="alert(3)/{stratum}.png',
            SCRIPT,
            "heatmap",
            {"dataset": "digits", "model": SCRIPT, "stratum": stratum},
            "plot",
            classes,
        )
        for stratum in ("class_0", "class_1")
    ]
    table = pd.DataFrame({"dataset": ["digits"] * 5, "model": [SCRIPT, *"abcd"], "value": [1.0, 2.0, 3.0, 4.0, 5.0]})
    report = tmp_path / "report.html"
    report.write_text(render(figures, table, SCRIPT))
    opened = Opened(browser, report)
    assert opened.page.locator("script:not([type])").count() == 1
    assert opened.page.locator(".kind strong").first.inner_text() == f"{SCRIPT} · {SCRIPT} · class {SCRIPT}"
    opened.page.locator(".kind label").nth(1).click()
    assert "onload" in opened.page.locator(".kind figure:visible strong").inner_text()
    opened.page.locator(".table th button:visible").first.click()
    assert opened.page.locator("[onload], [onmouseover]").count() == 0
    assert opened.complaints == []
    opened.page.close()


def test_a_choice_of_rows_is_called_as_no_other(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(render([], pd.DataFrame({"stratum": 3 * ["all", "stratified"]})))
    opened = Opened(browser, tmp_path / "page.html")
    choices = opened.page.locator("select").first.locator("option").all_text_contents()
    assert choices == ["any", "all", "stratified"]
    opened.page.close()


def test_trainings_are_called_what_the_page_calls_its_parts(browser: Browser, tmp_path: Path) -> None:
    """Their cells are seen as all others are, before and after sorting, and on paper too."""
    names = ["first", "frame", "full", "kind", "more", "number", "switches", "table", "veil"]
    figure = page.Figure(EXAMPLE / "global_variance.png", "a.png", "All", "heatmap", {}, "plot")
    report = tmp_path / "report.html"
    report.write_text(render([figure], pd.DataFrame({"training": [*names, "rotated"], "value": 1.0})))
    opened = Opened(browser, report)
    cells = opened.page.get_by_role("table", name="The study in numbers").locator("td:nth-child(1)")
    sort = opened.page.get_by_role("table", name="The study in numbers").get_by_role("button", name="training")
    looks = "cell => { const s = getComputedStyle(cell); return [s.display, s.position, s.textAlign, s.color] }"
    plain, blue = ["table-cell", "static", "left", "rgb(51, 51, 51)"], "rgb(0, 114, 178)"
    for expected in ([*names, "rotated"], sorted([*names, "rotated"])):
        for media in ("print", "screen"):
            opened.page.emulate_media(media=media)
            shown = {cell.inner_text(): cell.evaluate(looks) for cell in cells.all() if cell.is_visible()}
            assert list(shown) == expected
            assert shown == dict.fromkeys(names, plain) | {"rotated": [*plain[:3], blue]}
        sort.click()
    assert opened.complaints == []
    opened.page.close()


def test_a_script_that_got_in_would_not_run(browser: Browser, tmp_path: Path) -> None:
    """The page's policy allows its own script only, and loads nothing."""
    figure = page.Figure(EXAMPLE / "global_variance.png", "a.png", "All", "heatmap", {}, "plot")
    html = render([figure], pd.DataFrame({"value": [1.0]}))
    intruders = f'{SCRIPT}<img src="https://example.org/a.png"></main>'
    report = tmp_path / "report.html"
    report.write_text(html.replace("</main>", intruders))
    opened = Opened(browser, report)
    assert len(opened.complaints) == 2
    assert all("Content Security Policy" in complaint for complaint in opened.complaints)
    opened.page.close()


def test_what_is_chosen_for_one_kind_holds_for_the_others(browser: Browser, tmp_path: Path) -> None:
    """By keyboard. A kind that lacks the value stays as it is, and one that lacks the combination shows the nearest."""
    source = EXAMPLE / "global_variance.png"
    combinations = {
        "all": [("mnist", "mean"), ("mnist", "spatial"), ("cifar10", "mean"), ("cifar10", "spatial")],
        "some": [("mnist", "mean"), ("cifar10", "spatial")],
        "one": [("mnist", "mean")],
    }
    figures = [
        page.Figure(source, "a.png", kind, kind, {"dataset": dataset, "aggregation": aggregation}, "plot")
        for kind, pairs in combinations.items()
        for dataset, aggregation in pairs
    ]
    report = tmp_path / "report.html"
    report.write_text(render(figures, pd.DataFrame({"value": [1.0]})))
    opened = Opened(browser, report)

    shown = expect(opened.page.locator(".kind strong:visible"))  # waits for the page to follow
    shown.to_have_text(["MNIST · mean", "MNIST · mean", "MNIST · mean"])
    opened.page.locator("#all").get_by_label("mean").focus()
    opened.page.keyboard.press("ArrowRight")
    shown.to_have_text(["MNIST · spatial", "CIFAR10 · spatial", "MNIST · mean"])
    opened.page.locator("#all label", has_text="CIFAR10").click()
    shown.to_have_text(["CIFAR10 · spatial", "CIFAR10 · spatial", "MNIST · mean"])
    opened.page.locator("#some label", has_text="MNIST").click()
    shown.to_have_text(["MNIST · spatial", "MNIST · mean", "MNIST · mean"])
    assert opened.complaints == []
    opened.page.close()


def test_a_class_is_called_what_it_is_in_the_data_set_that_is_shown(browser: Browser, tmp_path: Path) -> None:
    source, strata = EXAMPLE / "global_variance.png", ["all", *(f"class_{number}" for number in range(6))]
    figures = [
        page.Figure(source, "a.png", kind, kind, {"dataset": dataset, "stratum": stratum}, "plot", classes)
        for kind, shown in (("few", strata[:3]), ("many", strata))  # buttons, a list
        for dataset, classes in (("mnist", [*"012345"]), ("flowers", [*"abcdef"]))
        for stratum in shown
    ]
    report = tmp_path / "report.html"
    report.write_text(render(figures, pd.DataFrame({"value": [1.0]})))
    opened = Opened(browser, report)
    opened.page.locator("#few label", has_text="flowers").click()
    words = opened.page.locator("#few fieldset").nth(1).locator("label")
    expect(words).to_have_text(["all images", "class a", "class b"])
    options = opened.page.locator("#many option")
    expect(options).to_have_text(["all images", *(f"class {letter}" for letter in "abcdef")])
    opened.page.close()


def test_a_training_is_chosen_for_all_figures_that_show_it_apart(opened: Opened) -> None:
    """The other's panels fade; what both share (heading, scale, legend) stays."""

    def faded(category: str) -> list[str]:
        veils = opened.page.locator(f"{category} figure:visible .veil:visible").all()
        return [str(veil.get_attribute("data-training")) for veil in veils]

    apart = ["#heatmaps", "#classes", "#last-layer", "#accuracy-by-angle", "#feature-maps"]
    assert [faded(category) for category in apart] == [[]] * 5
    opened.page.locator("#heatmaps label", has_text=re.compile("^rotated")).click()
    assert [faded(category) for category in apart] == [["unrotated"]] * 5
    veil = opened.page.locator("#heatmaps figure:visible .veil:visible").bounding_box()
    image = opened.page.locator("#heatmaps figure:visible img").bounding_box()
    assert image["x"] <= veil["x"] < veil["x"] + veil["width"] < image["x"] + 0.6 * image["width"]
    assert image["y"] < veil["y"] < veil["y"] + veil["height"] < image["y"] + image["height"]
    opened.page.locator("#classes label", has_text="unrotated").click()
    assert [faded(category) for category in apart] == [["rotated"]] * 5
    opened.page.locator("#last-layer label", has_text="both").click()
    assert [faded(category) for category in apart] == [[]] * 5
    assert opened.page.locator("#layers input[data-training], #training input[data-training]").count() == 0


def deep_network() -> pd.DataFrame:
    """The values of a ResNet-50 on CIFAR10 if they were noise, which is the hardest to compress."""
    generator = np.random.default_rng(0)
    kinds = ("convolution", "normalization", "non-linearity")
    layers = []
    for training, layer in product(("unrotated", "rotated"), range(172)):
        units = (64, 256, 512, 1024, 2048)[layer // 36]
        values = generator.gamma(4, 0.2, units)
        names = {"training": training, "layer": f"layer{layer}", "layer_index": layer, "kind": kinds[layer % 3]}
        layers.append(pd.DataFrame({"unit": range(units), "normalized_variance": values}).assign(**names))
    return pd.concat(layers).assign(dataset="cifar10", model="resnet", seed=0, stratum="all", aggregation="mean")


def test_a_study_of_48_networks_is_small_and_opens_at_once(
    browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 data sets x 4 models x 2 trainings x 3 seeds: real figures under the names of all others, and deep heatmaps."""
    deep = deep_network()
    theme.save(heatmap(deep, "all", "mean"), tmp_path / "deep.png")
    theme.save(distribution(pd.concat([deep, deep.assign(aggregation="spatial")]), BOTH), tmp_path / "distribution.png")
    datasets, models = ("mnist", "cifar10"), ("simple_conv", "all_convolutional", "vgg16", "resnet")
    aggregations, strata = BOTH, ("all", "stratified", *(f"class_{number}" for number in range(10)))
    figures = []

    def add(source: Path, kind: str, **labels: str) -> None:
        figures.append(page.Figure(source, f"figures/{len(figures)}.png", kind, kind, labels, "plot", "0123456789"))

    for dataset, model in product(datasets, models):
        folder = EXAMPLE / "mnist" / ("simple_conv" if model == "simple_conv" else "all_convolutional")
        both = {"dataset": dataset, "model": model}
        for aggregation in aggregations:
            for stratum in strata:
                source = tmp_path / "deep.png" if model == "resnet" else folder / f"heatmap_{aggregation}_all.png"
                add(source, "heatmap", **both, aggregation=aggregation, stratum=stratum)
            for kind in ("layers", "classes"):
                add(folder / f"{kind}_{aggregation}.png", kind, **both, aggregation=aggregation)
        for kind in (
            *("last_layer", "training_curves", "accuracy", "accuracy_by_angle", "accuracy_polar"),
            *("distribution", "feature_maps_0", "convergence"),
        ):
            deeper = model == "resnet" and kind == "distribution"
            add((tmp_path if deeper else folder) / f"{kind}.png", kind, **both)
    for aggregation in aggregations:
        add(EXAMPLE / f"depth_{aggregation}.png", "depth", aggregation=aggregation)
    for kind in ("global_variance", "agreement"):
        add(EXAMPLE / f"{kind}.png", kind)
    assert len(figures) == 2 * 4 * (2 * (12 + 2) + 8) + 4
    rows = product(datasets, models, ("unrotated", "rotated"), range(2 * 4 * 100), ["convolution"], [0.12345])
    names = ["dataset", "model", "training", "layer_index", "kind", "normalized_variance"]
    layers = pd.DataFrame(rows, columns=names)  # a table of layer means: strata x aggregations x 100 layers
    report = tmp_path / "report.html"
    report.write_text(render(figures, layers))
    size = report.stat().st_size / 1e6
    least = tmp_path / "least.html"
    least.write_text(render(figures[:1], layers[:1]))
    one = Opened(browser, least)
    opened = Opened(browser, report)
    ratio = seconds_to_open(opened) / seconds_to_open(one)
    with capsys.disabled():
        print(f"[{len(figures)} figures, {size:.0f} MB, opened in {ratio:.1f} times that of one figure]", end=" ")
    assert opened.complaints == []
    assert opened.page.locator("tbody tr").count() == 3 * page.ROWS
    assert opened.page.get_by_text(f"{len(layers) - page.ROWS} more rows").count() == 3
    opened.page.locator('#workflow select[data-column="1"]').select_option("VGG16")
    assert opened.page.get_by_text(f"{len(layers) // 4 - page.ROWS} more rows").count() == 1
    assert size < 60
    assert ratio < 7
    one.page.close()
    opened.page.close()
