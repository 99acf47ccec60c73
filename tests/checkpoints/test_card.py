from kinema.checkpoints.card import model_card


def test_a_model_card_shows_names_as_text() -> None:
    classes = [
        "<script>alert(1)</script>",
        "[a](http://x)",
        "line\nbreak",
        "\x1b[31mred",
        "brush_hair",
        "`code`",
        "# head",
    ]
    config = {
        "classes": classes,
        "model": {"backbone": {"type": "<b>"}},
        "metrics": {"a|b": 1.0},
        "zoo_name": "`x` <i>",
    }
    card = model_card('"); evil("\n# x', config, 10)
    shown = card[card.index("## Classes") :]
    for raw in ("<script>", "](http", "\x1b", "line\nbreak", "<b>", "<i>", "`code`", "\n# head"):
        assert raw not in card.removeprefix("---")
    assert r"brush\_hair" in shown
    assert r"&lt;script&gt;alert\(1\)&lt;/script&gt;" in shown
    assert r"line\\nbreak" in shown
    assert r'kinema.load("\"); evil(\"\\n# x")' in card
    assert r"| a\|b | 1.0000 |" in card
