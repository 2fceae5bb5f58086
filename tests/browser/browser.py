"""Headless Chromium on a page: Debian's chromium, chromium-driver and python3-selenium."""
import base64
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

# What stands behind an element: the first background that is not transparent, over what lies under it.
CONTRASTS = """
const parse = (c) => { const n = c.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n.length > 3 ? n[3] : 1]; };
const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
const behind = (e) => { const layers = []; for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((under, l) => over(l, under), [255, 255, 255, 1]); };
const light = (c) => { const [r, g, b] = c.slice(0, 3).map((x) => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
"""
TEXTS = CONTRASTS + """
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const e = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || ["SCRIPT", "NOSCRIPT", "STYLE", "OPTION"].includes(e.tagName) || e.closest("[aria-hidden=true]")) continue;
  const back = behind(e), c = contrast(over(parse(getComputedStyle(e).color), back), back);
  found.push([c, e.tagName, walk.currentNode.data.trim().slice(0, 40)]);
}
return found.sort((a, b) => a[0] - b[0]).slice(0, 5);
"""
# Charts without marks, or with nothing drawn.
EMPTY = """
return [...document.querySelectorAll("canvas")].filter((canvas) => {
  const chart = Chart.getChart(canvas);
  if (!chart || !chart.data.datasets.length || chart.data.datasets.some((_, i) => !chart.getDatasetMeta(i).data.length)) return true;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return !pixels.some((x) => x > 0);
}).map((canvas) => canvas.getAttribute("aria-label"));
"""


def open_browser(width=1280, height=900):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--hide-scrollbars", "--disable-background-networking", "--force-color-profile=srgb"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    resize(driver, width, height)
    return driver


def resize(driver, width, height=900):
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})


def colours(driver, scheme, motion="reduce"):
    """scheme: light or dark, motion: reduce or no-preference, as the reader's system would ask for."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}]})


def requests(driver):
    """Addresses that were asked for since the last call."""
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return found


def screenshot(driver, path, width, top=0, height=None):
    """A part of the page as PNG. The window is made as high as the page, so that all of it is drawn."""
    whole = driver.execute_script("return document.documentElement.scrollHeight")
    resize(driver, width, whole)
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(() => arguments[arguments.length - 1]()))")
    clip = {"x": 0, "y": top, "width": width, "height": min(height or whole, whole - top), "scale": 1}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    with open(path, "wb") as file:
        file.write(base64.b64decode(shot["data"]))


def write_batch(path, rows, classes, random):
    """A safetensors file for retort sinkhorn: a teacher's logits, and a student's that are near them. The path."""
    teacher = [random.gauss(0, 3) for _ in range(rows * classes)]
    numbers = teacher + [x + random.gauss(0, 2) for x in teacher]
    size = 8 * rows * classes
    header = json.dumps({name: {"dtype": "F64", "shape": [rows, classes], "data_offsets": [i * size, (i + 1) * size]}
                         for i, name in enumerate(("teacher", "student"))}).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + struct.pack(f"<{len(numbers)}d", *numbers))
    return path


class Pages(unittest.TestCase):
    """Tests of pages that PROGRAM made in a temporary folder; less motion is asked for."""

    PROGRAM = None

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="retort-browser-")
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = temporary.name
        cls.driver = open_browser()
        cls.addClassCleanup(cls.driver.quit)

    def setUp(self):
        resize(self.driver, 1280)
        colours(self.driver, "light")

    @classmethod
    def program(cls, *arguments):
        return subprocess.run([cls.PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=120)

    def open(self, path):
        """Opens a page; it says nothing on the console and asks for nothing but itself."""
        requests(self.driver), self.driver.get_log("browser")
        url = "file://" + path
        self.driver.get(url)
        self.assertEqual(self.driver.get_log("browser"), [])
        self.assertEqual([r for r in requests(self.driver) if r != url and not r.startswith("data:")], [])

    def hover(self, label, dataset, index):
        """Moves the pointer onto a mark of the chart whose label begins so; what its tooltip says."""
        canvas = next(c for c in self.driver.find_elements(By.TAG_NAME, "canvas") if c.get_attribute("aria-label").startswith(label))
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
        x, y, w, h = self.driver.execute_script(
            "const c = Chart.getChart(arguments[0]), p = c.getDatasetMeta(arguments[1]).data[arguments[2]]; return [p.x, p.y, c.width, c.height];", canvas, dataset, index)
        ActionChains(self.driver).move_to_element_with_offset(canvas, round(x - w / 2), round(y - h / 2)).perform()
        return self.driver.execute_async_script(
            "const done = arguments[1], c = Chart.getChart(arguments[0]); setTimeout(() => done(c.tooltip.opacity ? c.tooltip.body.flatMap((b) => b.lines) : []), 100);", canvas)

    def check_contrast(self, scheme):
        """Of all texts, those of closed tables too."""
        self.driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
        worst = self.driver.execute_script(TEXTS)
        self.assertGreaterEqual(worst[0][0], 4.5, (scheme, worst))

    def check_names(self, *selectors):
        """Elements have names, headings their order, tables captions, targets their size."""
        d = self.driver
        d.execute_script("for (const e of document.querySelectorAll('details')) e.open = true")
        self.assertEqual(d.find_element(By.TAG_NAME, "html").get_attribute("lang"), "en")
        for selector in selectors:
            elements = d.find_elements(By.CSS_SELECTOR, selector)
            self.assertTrue(elements, selector)
            for e in elements[:60]:
                self.assertTrue(e.accessible_name or (selector == "summary" and e.text), (selector, e.get_attribute("outerHTML")[:200]))
        levels = [int(h.tag_name[1]) for h in d.find_elements(By.CSS_SELECTOR, "h1, h2, h3, h4")]
        self.assertEqual(levels.count(1), 1)
        self.assertTrue(all(b <= a + 1 for a, b in zip(levels, levels[1:])), levels)
        self.assertEqual(d.execute_script("return [...document.querySelectorAll('table')].filter((t) => !t.caption || [...t.querySelectorAll('th')].some((h) => !h.scope)).length"), 0)
        self.assertEqual(d.execute_script("const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); return ids.length - new Set(ids).size"), 0)
        self.assertEqual(d.execute_script("return [...document.querySelectorAll('nav a')].filter((a) => !document.querySelector(a.hash)).length"), 0)
        # What scrolls can be reached by the keyboard, what is a target is large enough (WCAG 2.5.8).
        self.assertEqual(d.execute_script("return [...document.querySelectorAll('.scroll')].filter((e) => e.tabIndex !== 0).length"), 0)
        self.assertEqual(d.execute_script("return [...document.querySelectorAll('#shown label, select, button, input[type=range], .token')].filter((e) => { const b = e.getBoundingClientRect(); return b.width < 24 || b.height < 24; }).length"), 0)

    def check_width(self, width):
        """Nothing lies beyond the right edge, and all charts are drawn."""
        self.assertLessEqual(self.driver.execute_script("return document.documentElement.scrollWidth"), width)
        self.assertEqual(self.driver.execute_script(EMPTY), [])
        self.assertEqual(self.driver.execute_script("return [...document.querySelectorAll('canvas')].filter((c) => c.getBoundingClientRect().right > arguments[0]).length", width), 0)


def js_number(x):
    """A number as a browser writes it."""
    if float(x).is_integer() and math.fabs(x) < 1e21:
        return str(int(x))
    text = repr(float(x))
    if "e" in text:
        mantissa, exponent = text.split("e")
        if -7 <= int(exponent) < 0:
            return f"{float(x):.{len(mantissa.replace('.', '').lstrip('-')) - 1 - int(exponent)}f}"
        text = f"{mantissa}e{'+' if int(exponent) > 0 else ''}{int(exponent)}"
    return text


def run_tests(usage, case):
    """Runs a case on the program that is given, and ends as Catch2 does, for what counts tests."""
    if len(sys.argv) != 2:
        sys.exit(usage.strip())
    case.PROGRAM = os.path.abspath(sys.argv[1])
    os.environ["OMP_NUM_THREADS"] = "1"  # the models are tiny
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    failed = len(result.failures) + len(result.errors)
    if failed:
        print(f"test cases: {result.testsRun} | {max(0, result.testsRun - failed)} passed | {failed} failed")
    else:
        print(f"All tests passed ({result.testsRun} assertions in {result.testsRun} test cases)")
    sys.exit(failed > 0)
