"""What `fedsecure COMMAND --help` says: a line, a paragraph that teaches, and an example."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CODES", "COMMANDS", "Command"]


@dataclass(frozen=True)
class Command:
    """The words of one command.

    Attributes:
        summary: What it is, in a line.
        teaches: What it is for.
        example: How it is called.
    """

    summary: str
    teaches: str
    example: str


CODES = """\
exit codes:
  0  done
  1  refused, or failed while running: one line on stderr says why and what to do
  2  unusable command line

Figures go to stdout, everything else to stderr; with --json, stdout is one JSON value.
'fedsecure COMMAND --help' explains a command and gives an example."""

COMMANDS = {
    "demo": Command(
        summary="federated averaging on real data, secure and plain side by side",
        teaches=(
            "Two participants fit a straight line, and are refused until a third one joins, since"
            " each of two could subtract itself. Then ten banks learn one credit score from the "
            "German credit data; you see what the server saw of them, and what it learnt. Both "
            "are done twice, securely and in the clear, and the difference is shown."
        ),
        example="fedsecure demo --only linear --rounds 20",
    ),
    "params": Command(
        summary="neighbors and threshold for a number of clients, explained",
        teaches=(
            "Among many clients each masks against k others only, and t shares give a secret "
            "back. Too few, and colluding neighbors unmask somebody; too many, and drop-outs "
            "leave no result. This finds the least k and a t between both, and says how rarely "
            "either fails."
        ),
        example="fedsecure params --clients 1000 --corrupt 0.1 --dropout 0.1",
    ),
    "calibrate": Command(
        summary="how much noise a differential privacy target takes, explained",
        teaches=(
            "A sum is not private by itself: noise on it bounds what it says about one client. "
            "This finds the noise for a target epsilon over all rounds, or what a given noise "
            "spends, says what that rests on, and draws both curves."
        ),
        example="fedsecure calibrate --epsilon 4 --rounds 100 --clients 200 --population 10000",
    ),
    "keys": Command(
        summary="make identities and Paillier keys in files, and show their public halves",
        teaches=(
            "Parties know each other by keys that the server cannot replace. Secrets are written "
            "encrypted with a password (AES-256-GCM under scrypt), readable by their owner only, "
            "and never over a file that is there. The password comes from the terminal, a file or"
            " an environment variable, never from the command line, where others could read it."
        ),
        example="fedsecure keys identity bank-a.key; fedsecure keys show bank-a.key --json",
    ),
    "bench": Command(
        summary="the speed of this machine beside other libraries, in half a minute or so",
        teaches=(
            "Every row is a figure of ours beside another one of the same run: the machine's own "
            "bound, or what else one could take. Look at the ratios: times differ from machine to"
            " machine. What is not installed is left out, and its note says how to install it."
        ),
        example="fedsecure bench --json > today.json",
    ),
    "info": Command(
        summary="version, kernels and threads of this installation",
        teaches=(
            "Says which kernels the core has chosen for this processor (FEDSECURE_KERNELS forces "
            "others), how many threads it may use (FEDSECURE_THREADS), and which optional "
            "packages are there. Neither variable changes a bit of any result."
        ),
        example="FEDSECURE_KERNELS=portable fedsecure info",
    ),
}
