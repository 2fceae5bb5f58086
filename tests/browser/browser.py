"""Headless Chromium on a page: Debian's chromium, chromium-driver and python3-selenium."""
import base64
import json

from selenium import webdriver
from selenium.webdriver.chrome.service import Service


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


def colours(driver, scheme):
    """scheme: light or dark, as the reader's system would ask for."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})


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
