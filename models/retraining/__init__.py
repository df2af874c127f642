"""From what a store has and what operators have said to a model that may follow the active one.

    sample ─▶ lessons ─▶ models.train ─▶ candidate ─▶ trial (candidate beside active) ─▶ gate ─▶ registry

`sample` reads some of the stored rows, `lessons` says what each of them teaches, `trial` runs both models over rows
that the candidate has not seen, `gate` decides by what came of it, and `run` does all of it in this order.
"""
