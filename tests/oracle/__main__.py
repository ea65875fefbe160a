"""`make oracle`: judge the estimator on every case, write docs/oracle.md, fail when a bar is missed."""

import sys
import tempfile
from pathlib import Path

from inhouse.lab import engine as lab_engine
from inhouse.lab import paths
from tests.oracle import cases, judge, report
from tests.oracle.judge import Refusal, Verdict

PAGE = Path(__file__).parents[2] / "docs/oracle.md"


def main() -> int:
    """Run it; 0: every bar holds."""
    server = lab_engine.build(paths.cache_dir()) / "lib/ollama/llama-server"
    wanted = cases.judged()
    if sys.argv[1:]:
        wanted = {tag: model for tag, model in cases.models().items() if tag in sys.argv[1:]}
    verdicts: list[Verdict] = []
    refusals: list[Refusal] = []
    with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
        for found in judge.judge_all(server, Path(folder), wanted):
            if isinstance(found, Refusal):
                refusals.append(found)
                continue
            verdicts.append(found)
            for miss in found.misses():
                sys.stdout.write(f"missed: {miss}\n")
            sys.stdout.flush()
    missed = sum(any(verdict.misses()) for verdict in verdicts)
    sys.stdout.write(report.summary(verdicts) + f"{missed} of {len(verdicts)} cases miss a bar\n")
    if not sys.argv[1:]:
        PAGE.write_text(report.page(verdicts, refusals))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
