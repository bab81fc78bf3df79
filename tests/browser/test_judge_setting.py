"""Whose entailment model compares the meanings, chosen in the settings, and the doubt above the numbers."""

from __future__ import annotations

import os
from pathlib import Path

from harness import Notebook, Probe
from playwright.sync_api import expect


def picture(probe: Probe, name: str) -> None:
    """Where somebody wants to look: ISI_PICTURES is a folder."""
    if folder := os.environ.get("ISI_PICTURES"):
        probe.page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_the_judge_is_chosen_in_the_settings_and_its_doubt_stands_above_the_numbers(
    bench: Notebook, probe: Probe
) -> None:
    probe.part("settings").click()
    expect(probe.part("settings-judge")).to_contain_text("auto: embedded")
    probe.part("settings-judge").locator("summary").click()
    expect(probe.part("judge-microsoft/deberta-v2-xlarge-mnli")).to_have_text("Download 1.8 GB")
    expect(probe.part("judge-embedded").locator("xpath=..")).to_contain_text("shipped")
    picture(probe, "judges")
    probe.part("judge-rules").click()
    bench.until("probe.entailment == 'rules'")
    expect(probe.part("judge-rules")).to_have_attribute("aria-pressed", "true")
    probe.page.keyboard.press("Escape")
    # So hot that the answers are no words: nothing but spelling can be settled by rule.
    bench.execute("probe.run('uncertainty', samples=6, temperature=5.0, max_new_tokens=6)")
    expect(probe.part("doubt")).to_contain_text("only rules of wording")
    expect(probe.part("judge")).to_have_text("Meanings compared by rules")
    above = probe.part("doubt").bounding_box()
    number = probe.page.locator("[data-testid^=entropy-]").first.bounding_box()
    assert above and number and above["y"] + above["height"] <= number["y"]
    expect(probe.part("trial-1")).to_contain_text("(!)")
    probe.part("doubt").scroll_into_view_if_needed()
    picture(probe, "doubt")
