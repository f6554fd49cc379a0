"""Train two ways of sharing on one task and compare them: FPS shares all, NPS nothing.

A few thousand steps, so that it takes seconds: not a result. What is trained already is not
trained again. Run it: ``python examples/compare_two_algorithms.py [RESULTS]``.
"""

import sys

import partage

results = sys.argv[1] if len(sys.argv) > 1 else "results"
runs = [
    partage.train(name, "mpe/15a_3c", seeds=[0, 1, 2, 3], steps=4_000, results=results)
    for name in ("fps", "nps")
]
table = partage.compare(runs, metric="train_return")
print(table.T.to_string(header=False))

best = table.loc[table["mean"].idxmax()]
print(f"{best.algorithm}: {best['mean']:.0f} [{best.mean_low:.0f}, {best.mean_high:.0f}]")
print(runs[1].sharing().query("seed == 0").T.to_string(header=False))

# and play the policies that were just trained
env = partage.make_env("mpe/15a_3c", seeds=[100], copies=4)
policy = runs[1].policy(seed=0)
step = env.reset()
while not step.ended.all():
    step = env.step(policy(step))
print("NPS, returns of four greedy episodes:", step.score[0].round().tolist())
env.close()
