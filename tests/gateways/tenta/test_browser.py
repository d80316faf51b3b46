"""A program in a browser, whose pages come from another server, uses the API."""

import pytest
from playwright.sync_api import sync_playwright

ASK = """async ([method, url, token, body]) => {
    const headers = {Authorization: `Bearer ${token}`, "Content-Type": "application/json"};
    const answer = await fetch(url, {method, headers, body: body && JSON.stringify(body)});
    return [answer.status, await answer.json()];
}"""


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_page_of_another_origin_reads_and_writes(mine, serve, chromium):
    elsewhere = serve().port
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{elsewhere}/status")

        def ask(method, path, body=None, token=mine.token):
            url = f"http://127.0.0.1:{mine.port}{path}"
            return tuple(page.evaluate(ASK, [method, url, token, body]))

        assert ask("POST", f"{mine.path}/configurations", {"a": 1}) == (201, {"revision": 0})
        assert ask("PUT", mine.path, {"sensor_name": "bed-9"}) == (200, {})
        status, sensors = ask("GET", f"/networks/{mine.network}/sensors")
        assert (status, sensors[0]["sensor_name"]) == (200, "bed-9")
        assert ask("GET", "/networks", token="0" * 64) == (401, {"details": "Unauthorized"})
        browser.close()
