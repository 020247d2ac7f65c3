"""The hand-over: a model as servers load it, with a card that says what it is, tried before it is handed over."""
