"""How well detectors detect: every detector on every labelled data set, by the rules that `splits` fixes."""
