"""The texts of a sweep's report, as in ``labels``."""

from __future__ import annotations

from typing import Final

SWEEP_WORDS: Final[dict[str, tuple[str, str]]] = {
    # Head
    "title_sweep": ("Sweep: {name}", "パラメータ探索：{name}"),
    "swept": ("Swept: {keys}", "探索した設定：{keys}"),
    "swept_range": ("{low} to {high}", "{low} 〜 {high}"),
    "swept_many": ("{low} to {high} ({n} values)", "{low} 〜 {high}（{n} 個）"),
    "sweep_method": (
        "{method}, seed {seed}: {sets} sets, {runs} runs, {failed} failed",
        "{method}、シード {seed}：設定 {sets} 組、実行 {runs} 回、失敗 {failed} 回",
    ),
    "method_grid": ("All combinations", "全組み合わせ"),
    "method_tpe": ("Search (TPE)", "逐次探索（TPE）"),
    "sweep_tapes": ("{n} tape(s): {names}", "テープ {n} 本：{names}"),
    "and_more": ("{names} and {n} more", "{names} ほか {n} 本"),
    "sweep_digest": ("Digest {digest}", "ダイジェスト {digest}"),
    "sweep_mode": (
        "Mode: paper fills on recorded tapes (sweep of backtests)",
        "モード：録画したテープ上のペーパー約定（バックテストの一括実行）",
    ),
    # Cards
    "best_set": ("Best set", "最良の設定"),
    "best_note": ("{metric}; set #{number}", "{metric}・設定 #{number}"),
    "median_set": ("Median set", "中央値の設定"),
    "sets_won": ("Profitable sets", "利益の出た設定"),
    "failed_runs": ("Failed runs", "失敗した実行"),
    "dsr": ("Deflated Sharpe ratio", "デフレーテッド・シャープレシオ"),
    "dsr_note": ("probability that it is better than luck", "偶然を超える確率"),
    "forward_pnl": ("Out of sample", "検証期間の損益"),
    "forward_note": ("{n} of {all} folds profitable", "{all} 区間中 {n} 区間で利益"),
    # Sentences
    "say_best": (
        (
            "The best of {n} sets made {best} on the data used to choose it; the median set made {median}, and "
            "{share} of the sets were profitable. The first figure is the luckiest of many and predicts nothing."
        ),
        (
            "{n} 組のうち最良の設定は、選定に使ったデータで {best} でした。"
            "中央値は {median}、利益が出た設定は {share} です。"
            "最良の値は多数の中で最も運の良いもので、将来を約束しません。"
        ),
    ),
    "say_no_sets": ("No set has a known result.", "成績の分かる設定はありませんでした。"),
    "say_deflated_luck": (
        (
            "Deflated Sharpe ratio {dsr}: the best set's Sharpe ratio, {sharpe} per observation, is no more than the "
            "best of {trials} worthless sets would show by luck ({expected}). It is no reason to trade that set."
        ),
        (
            "デフレーテッド・シャープレシオ {dsr}：最良の設定の1観測あたりシャープレシオ {sharpe} は、無価値な設定 "
            "{trials} 組の最良が偶然に示す値（{expected}）と変わりません。採用の根拠にはなりません。"
        ),
    ),
    "say_deflated_unclear": (
        (
            "Deflated Sharpe ratio {dsr}: the best set's Sharpe ratio, {sharpe} per observation, is above what the "
            "best of {trials} worthless sets would show by luck ({expected}), but {n} observations are not enough "
            "for confidence (95 % is usual)."
        ),
        (
            "デフレーテッド・シャープレシオ {dsr}：最良の設定の1観測あたりシャープレシオ {sharpe} は、無価値な設定 "
            "{trials} 組の最良が偶然に示す値（{expected}）を上回りますが、"
            "観測数 {n} では信じるに足りません（通常は 95 %）。"
        ),
    ),
    "say_deflated_more": (
        (
            "Deflated Sharpe ratio {dsr}: the best set's Sharpe ratio, {sharpe} per observation over {n}, is more than "
            "the best of {trials} worthless sets would show by luck ({expected}). That holds for these data only, "
            "not for other markets, and within the limits of the fill rules."
        ),
        (
            "デフレーテッド・シャープレシオ {dsr}：最良の設定の1観測あたりシャープレシオ {sharpe}（観測数 {n}）は、"
            "無価値な設定 {trials} 組の最良が偶然に示す値（{expected}）を上回ります。"
            "ただし、このデータについてのみ言えることで、他の相場や約定規則の限界には当てはまりません。"
        ),
    ),
    "say_no_deflated": (
        "The deflated Sharpe ratio is unknown: there are too few data.",
        "データが少なく、デフレーテッド・シャープレシオは求められませんでした。",
    ),
    "say_forward": (
        (
            "Out of sample, the sets chosen in training made {test} in {folds} fold(s) of tests, of which {won} "
            "were profitable."
        ),
        "検証期間（{folds} 区間）の損益は合計 {test}、利益で終わった区間は {won} です。",
    ),
    "say_forward_rates": (
        "An hour, they made {train} in training and {test} in the test.",
        "1時間あたりでは、学習で {train}、検証で {test} でした。",
    ),
    "say_forward_mean": (
        "The mean per test is {mean} (95 %: {low} to {high}).",
        "検証1区間あたりの平均は {mean}（95%区間 {low} 〜 {high}）です。",
    ),
    "say_ranks": (
        (
            "Rank correlation of training and test over all sets, mean of the folds: {value}. At 1 the sets keep their "
            "order; at 0 the training result predicts nothing."
        ),
        (
            "全設定の学習と検証の順位相関（区間平均）：{value}。1 なら学習で良い設定は検証でも良く、"
            "0 なら学習は何も教えません。"
        ),
    ),
    "say_worse_half": (
        "In {n} of {all} folds the chosen set was in the lower half of the test.",
        "{all} 区間中 {n} 区間で、選ばれた設定は検証で下位半分でした。",
    ),
    "say_failed": (
        "{n} of {all} runs failed and are left out; the errors are listed below.",
        "{all} 回中 {n} 回の実行が失敗し、集計から除きました。エラーは下に示します。",
    ),
    # Notes
    "note_compared": (
        "Sets are compared by their mean over: {spans}.",
        "設定の比較は次の期間の平均によります：{spans}。",
    ),
    "note_few_fills": (
        (
            "{n} of {all} sets had fewer than {least} fills: their result is unknown. They have no rank, come last (?) "
            "and are in no chart or figure above."
        ),
        (
            "{all} 組中 {n} 組は約定が {least} 件未満で、成績は不明です。順位を付けず末尾に置き（?）、"
            "上の数値と図には含めていません。"
        ),
    ),
    "note_pairs": (
        "{n} of {all} pairs of keys have no heat map: those of the keys with the least effect on the objective.",
        "設定の組 {all} 通りのうち、影響の小さい {n} 通りはヒートマップを省略しました。",
    ),
    "note_keys": (
        "{n} of {all} keys have no chart of their own: those with the least effect on the objective.",
        "設定 {all} 個のうち、影響の小さい {n} 個は単独の図を省略しました。",
    ),
    "note_lines": (
        "The parallel coordinates show {shown} of {all} sets: the best ones, and a sample of the rest.",
        "平行座標は全 {all} 組のうち、最上位と残りの一部の計 {shown} 組を描いています。",
    ),
    "note_observation": (
        "Sharpe ratios are per observation of {seconds} s, not per year.",
        "シャープレシオは {seconds} 秒ごとの観測によるもので、年率ではありません。",
    ),
    "note_no_forward": (
        "There was no walk-forward split: no set was tested on data that were not used to choose it.",
        "ウォークフォワードは行われていません。選定に使わなかったデータでの検証はありません。",
    ),
    "note_sweep_paper": (
        "All fills are paper fills: public data cannot show how others would have reacted to the orders.",
        "約定はすべてペーパー取引です。実際の注文に他の参加者がどう反応したかは公開データからは分かりません。",
    ),
    # Sections
    "best": ("Best sets", "上位の設定"),
    "best_text": (
        "Ranked by the first objective ({objective}). Bold: no other set has both more profit and less drawdown.",
        "第一目的（{objective}）の順。太字は、損益とドローダウンの両方で上回る設定がないもの。",
    ),
    "forward": ("Out of sample", "検証期間（アウト・オブ・サンプル）"),
    "forward_text": (
        (
            "In each fold the best set of the training span is traded in the test span that follows. "
            "Rank 1 is the best of all sets in that test."
        ),
        "各区間で学習期間の最良の設定を選び、続く検証期間で取引します。順位1は、その検証で全設定中の最良です。",
    ),
    "forward_dots": ("Training and test", "学習と検証"),
    "forward_dots_text": (
        "Profit per hour. On the dotted line the test equals the training; a cloud without slope means luck.",
        "1時間あたりの損益。点線上なら学習どおりの成績、傾きのない雲は偶然です。",
    ),
    "heats": ("Pairs of keys", "設定どうしの組み合わせ"),
    "heats_text": (
        (
            "{metric}: median over all values of the other keys. Trust a broad area of one colour more than a single "
            "spot."
        ),
        "{metric}：ほかの設定についての中央値。一点だけ良い場所より、広く同じ色の領域が信頼できます。",
    ),
    "alone": ("Single keys", "設定ごとの影響"),
    "alone_text": (
        "Every set, and the median, by the value of one key; the key with the largest effect comes first.",
        "設定の値ごとの全結果と中央値。影響の大きい設定から順に並べています。",
    ),
    "trade": ("Profit and drawdown", "損益とドローダウン"),
    "trade_text": (
        "The line is the Pareto front: more profit is possible only with more drawdown.",
        "線は効率的な境界（パレートフロント）：これ以上の損益には、より大きなドローダウンが伴います。",
    ),
    "parallel": ("Parallel coordinates", "平行座標"),
    "parallel_text": (
        (
            "Each line is a set: its settings, then its results, where higher is better. "
            "Click the legend to hide or show a group."
        ),
        "1本の線が1組の設定です。設定値に続く成績の軸は上ほど良好。凡例に触れるとグループを表示・非表示にできます。",
    ),
    "failures": ("Failed runs", "失敗した実行"),
    "failures_text": ("By error, with the first runs of each.", "エラー別。最初の数件を示します。"),
    # Words
    "set": ("Set", "設定"),
    "one_set": ("a set", "各設定"),
    "all_sets": ("all sets", "全設定"),
    "other_sets": ("other sets", "その他の設定"),
    "front": ("front", "パレートフロント"),
    "median": ("median", "中央値"),
    "best_tenth": ("best tenth", "上位1割"),
    "upper_half": ("rest of the upper half", "上位半分の残り"),
    "lower_half": ("lower half", "下位半分"),
    "fold": ("Fold", "区間"),
    "train": ("training", "学習"),
    "test": ("test", "検証"),
    "chosen": ("chosen", "選ばれた設定"),
    "as_in_training": ("as in training", "学習どおり"),
    "test_from": ("Test from, {zone}", "検証開始（{zone}）"),
    "rank": ("Rank in the test", "検証での順位"),
    "sum": ("Sum", "合計"),
    "an_hour": ("An hour", "1時間あたり"),
    "error": ("Error", "エラー"),
    "runs": ("Runs", "実行数"),
    "span": ("Span", "期間"),
    "which": ("Sets", "設定"),
    "span_all": ("all of the tapes", "全期間"),
    "span_train": ("training {n}", "学習 {n}"),
    "span_test": ("test {n}", "検証 {n}"),
    "metric_pnl": ("profit", "損益"),
    "metric_max_drawdown": ("drawdown", "ドローダウン"),
    "metric_sharpe": ("Sharpe", "シャープ"),
    "metric_fills": ("fills", "約定数"),
    "metric_quotes": ("quotes", "指値数"),
    "metric_fill_ratio": ("fill ratio", "約定率"),
    "metric_strikes": ("strikes", "発注回数"),
    "metric_volume": ("volume, {base}", "数量（{base}）"),
    "metric_markout_1s": ("markout 1 s", "マークアウト1秒"),
    "metric_seconds": ("run time, s", "実行時間（秒）"),
}
