"""The report's texts in English and Japanese. Each key has both, with the same ``{}`` fields (checked by a test)."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from stall_then_strike.research.report.labels_sweep import SWEEP_WORDS
from stall_then_strike.types.dto import NS_PER_S, Reason

LANGUAGES: Final = ("en", "ja")
ZONES: Final = {"en": "UTC", "ja": "Asia/Tokyo"}
"""Default time zone of each language."""

WORDS: Final[dict[str, tuple[str, str]]] = {
    # Page
    "title_run": ("Run report: {name}", "取引レポート：{name}"),
    "title_comparison": ("Comparison: {a} and {b}", "比較：{a} と {b}"),
    "theme": ("Light / dark", "明るい / 暗い"),
    "needs_script": (
        "The charts need JavaScript; the figures above do not.",
        "グラフの表示には JavaScript が必要です。数値はそのままご覧いただけます。",
    ),
    "period": ("{start} to {end} {zone} ({span})", "{start} 〜 {end} {zone}（{span}）"),
    "run_known": (
        "Run {run}: {mode}, {product} of {venue}, configuration {configuration}, started {began} {zone}, {end}",
        "ラン {run}：{mode}、{venue} の {product}、設定 {configuration}、開始 {began} {zone}、{end}",
    ),
    "run_unknown": (
        "Unknown run: no manifest has the run or mode of these rows.",
        "不明なラン：これらの行がどのランやモードのものか、記録がありません。",
    ),
    "run_ended": ("ended {ended} {zone} ({why})", "終了 {ended} {zone}（{why}）"),
    "run_unfinished": ("no recorded end: it is running, or was killed", "終了の記録なし（稼働中、または強制終了）"),
    "sources": ("Sources: {sources}", "使用データ：{sources}"),
    "source_csv": ("CSV logs of {days} day(s)", "CSV ログ {days} 日分"),
    "source_tape": ("tape", "テープ（板の記録）"),
    "source_journal": ("journal", "ジャーナル"),
    "summary": ("Summary", "要約"),
    "notes": ("Notes", "注意点"),
    "no_data": ("Nothing to show.", "表示するデータがありません。"),
    # Cards
    "total": ("Result", "損益合計"),
    "realised": ("Realised", "実現損益"),
    "unrealised": ("Unrealised", "未実現損益"),
    "drawdown": ("Deepest drawdown", "最大ドローダウン"),
    "fills": ("Fills", "約定数"),
    "drawdown_axis": ("drawdown, JPY", "下落幅（円）"),
    "held_axis": ("position, BTC", "建玉（BTC）"),
    "limit_axis": ("% of the limit", "上限に対する %"),
    "part": ("Part", "内訳"),
    "share_of_fills": ("per fill", "1約定あたり"),
    "volume": ("Volume", "約定数量"),
    "quotes": ("Quotes placed", "発注した指値"),
    "fill_ratio": ("Quotes with a fill", "約定した指値の割合"),
    "per_fill": ("Mean per fill", "1約定あたり平均損益"),
    "per_trip": ("Mean per round trip", "1往復あたり平均損益"),
    "trips_won": ("Round trips won", "勝ち往復の割合"),
    "limit_of_day": ("Limit of a day", "1日の損失上限"),
    "limit_of_drawdown": ("Limit of the drawdown", "ドローダウンの上限"),
    "instrument": ("Instrument", "銘柄"),
    "all_together": ("all together", "合計"),
    "instruments": ("Instruments", "銘柄別"),
    "instruments_text": (
        "What each instrument made and holds. Limits and kill switch are those of all together.",
        "銘柄ごとの損益と建玉です。上限とキルスイッチは全銘柄の合計に対するものです。",
    ),
    "account_equity": ("Result of the account", "口座全体の損益"),
    "account_equity_text": (
        "The result of all instruments together, marked to the mid or to the last price, and of each.",
        "全銘柄の合計と銘柄ごとの損益（仲値または直近価格で評価）です。",
    ),
    "position": ("Position at the end", "終了時の建玉"),
    "fees": ("Fees", "手数料"),
    "funding": ("Funding", "ファンディング"),
    "halts": ("Halts", "停止回数"),
    "refused": ("Orders refused", "拒否された注文"),
    "of_n": ("n = {n}", "n = {n}"),
    "interval": ("95 %: {low} to {high}", "95%区間：{low} 〜 {high}"),
    "no_interval": ("no interval: all fills within one minute", "区間なし：すべて1分以内"),
    # Summary
    "say_result": (
        "The run made {total} JPY in {span}, with {fills} fills and {volume} BTC of volume.",
        "この運用の損益は {span} で {total} 円、約定 {fills} 件、約定数量 {volume} BTC でした。",
    ),
    "say_account": (
        "The account made {total} JPY with {n} instruments in {span}, with {fills} fills.",
        "口座全体の損益は {span}、{n} 銘柄で {total} 円、約定 {fills} 件でした。",
    ),
    "say_instrument": (
        "{name}: {total} JPY with {fills} fills; {size} at the end.",
        "{name}：{total} 円、約定 {fills} 件、終了時 {size}。",
    ),
    "say_no_fills": ("There was no fill.", "約定はありませんでした。"),
    "say_loses": (
        (
            "The mean per fill is {mean} JPY (95 %: {low} to {high}; n = {n} in {blocks} one-minute blocks): "
            "a loss that is not explained by chance."
        ),
        (
            "1約定あたり平均は {mean} 円（95%区間 {low} 〜 {high}、n = {n}、1分ブロック {blocks} 個）。"
            "偶然では説明できない損失です。"
        ),
    ),
    "say_wins": (
        (
            "The mean per fill is {mean} JPY (95 %: {low} to {high}; n = {n} in {blocks} one-minute blocks): "
            "a gain that is not explained by chance."
        ),
        (
            "1約定あたり平均は {mean} 円（95%区間 {low} 〜 {high}、n = {n}、1分ブロック {blocks} 個）。"
            "偶然では説明できない利益です。"
        ),
    ),
    "say_unclear": (
        (
            "The mean per fill is {mean} JPY (95 %: {low} to {high}; n = {n} in {blocks} one-minute blocks): "
            "not significantly different from zero."
        ),
        (
            "1約定あたり平均は {mean} 円（95%区間 {low} 〜 {high}、n = {n}、1分ブロック {blocks} 個）。"
            "ゼロと区別できません。"
        ),
    ),
    "say_no_interval": (
        "The mean per fill is {mean} JPY (n = {n}); all fills are within one minute, too short for an interval.",
        "1約定あたり平均は {mean} 円（n = {n}）。すべて1分以内の約定のため、判断には短すぎます。",
    ),
    "say_markout": (
        (
            "{horizon} after a quote's fill the mid was {mean} JPY per BTC from its price, positive in our favour "
            "({interval}; n = {n})."
        ),
        (
            "指値の約定から {horizon} 後、仲値は約定価格に対し当方有利を正として平均 {mean} 円/BTC でした"
            "（{interval}、n = {n}）。"
        ),
    ),
    "say_costs": ("Largest loss: {part}, {amount} JPY.", "最大の損失要因：{part}（{amount} 円）。"),
    "say_earns": ("Largest gain: {part}, {amount} JPY.", "最大の利益要因：{part}（{amount} 円）。"),
    "say_idle": (
        "The main reason for doing nothing was {reason}, with {share} of the idle time.",
        "見送り中に最も長く続いた理由は「{reason}」で、その時間の {share} でした。",
    ),
    "say_halted": ("The kill switch tripped {n} time(s).", "キルスイッチが {n} 回作動しました。"),
    # Notes
    "note_mixed": (
        "{n} runs were added up, as requested (--run).",
        "指定（--run）により {n} 件のランを合算しています。",
    ),
    "note_others": (
        "{n} other run(s) of this folder are not included; report --runs lists them, --run chooses.",
        "このフォルダの他の {n} 件のランは含まれていません。report --runs で一覧、--run で選択できます。",
    ),
    "note_no_tape": (
        (
            "No tape was given (--tape): markouts and the split of the result are left out, and prices are those of "
            "strikes and fills."
        ),
        "テープ（--tape）がないため、マークアウトと損益の内訳は省略しました。価格は発注時と約定時のものです。",
    ),
    "note_unpriced": (
        "The tape has no mid at {n} of {all} fills; they are in the part “without a mid”.",
        "約定 {all} 件のうち {n} 件はテープに仲値がなく、「仲値不明」に含めています。",
    ),
    "note_missing_days": (
        "Days without decisions (nothing ran, or the files are missing): {days}.",
        "判断ログのない日（未稼働、またはファイルなし）：{days}。",
    ),
    "note_unreadable": (
        "{n} row(s) are incomplete, as after a crash, and were left out.",
        "{n} 行は途中で切れているため（異常終了など）除外しました。",
    ),
    "note_jumps": (
        (
            "At {n} place(s) the inventory does not follow from the fills: rows are missing, or another paper run "
            "began. The position there is valued at its last price."
        ),
        (
            "{n} か所で建玉と約定が連続していません（行の欠落、または別のペーパー運用の開始）。"
            "その時点の建玉は直前の価格で評価しました。"
        ),
    ),
    "note_carried": (
        "A position of {size} BTC was open when the logs begin; it is valued from its price at that time.",
        "ログ開始時に {size} BTC の建玉がありました。その時点の価格から評価しています。",
    ),
    "note_no_journal": (
        (
            "Without a journal, the use of the rate limits counts orders and cancels only, not queries, and funding is "
            "derived from the trade log's running sum."
        ),
        (
            "ジャーナルがないため、制限の使用量は発注と取消のみ（照会は含まず）、"
            "ファンディングは約定ログの累計から読み取りました。"
        ),
    ),
    "note_thinned": (
        "The price chart shows {shown} of {all} fills. Sums use all fills.",
        "描画は間引いています（価格グラフの約定 {all} 件中 {shown} 件）。集計は全件です。",
    ),
    "note_paper": (
        "These are paper fills: public data cannot show how others would have reacted to the order.",
        "ペーパー取引の約定です。実際の注文に他の参加者がどう反応したかは公開データからは分かりません。",
    ),
    # Sections: heading and what it shows
    "equity": ("Equity, drawdown, inventory", "損益推移・ドローダウン・建玉"),
    "equity_text": (
        (
            "Result since the beginning of the logs, marked to the mid; its fall from the highest value so far; the "
            "position held."
        ),
        "ログ開始からの損益（仲値で評価）、それまでの最高値からの下落、保有建玉。",
    ),
    "price": ("Price and fills", "価格と約定"),
    "price_text": (
        "Triangles pointing up are buys, down sells; solid ones are quotes, hollow ones closes.",
        "上向き三角は買い、下向きは売り。塗りつぶしは指値、白抜きは決済です。",
    ),
    "markouts": ("Markouts", "マークアウト"),
    "markouts_text": (
        (
            "Distance of the mid from a fill's price, positive in our favour, at the fill and later. Bars are 95 % "
            "intervals that count each minute as one observation."
        ),
        "約定時とその後、仲値が約定価格に対してどれだけ有利だったか。縦棒は1分を1観測とみなした95%区間です。",
    ),
    "split": ("Where the result comes from", "損益の内訳"),
    "split_text": (
        (
            "Spread: distance of fills from the mid at the fill. Adverse "
            "selection: the mid's move in the second after it. "
            "Inventory: all later moves. The parts add up to the result exactly."
        ),
        (
            "スプレッド：約定時の仲値との差。逆選択：約定後1秒間の仲値の動き。"
            "在庫：それ以降の動き。合計は損益と正確に一致します。"
        ),
    ),
    "fate": ("Which quotes are filled", "どの指値が約定するか"),
    "fate_text": (
        (
            "Share of quotes with any fill, by the time that the best prices had stood still and by the spread at the "
            "strike. Bars are 95 % intervals."
        ),
        "最良気配の静止時間と発注時のスプレッド別に見た、約定した指値の割合。縦棒は95%区間です。",
    ),
    "heat_text": (
        "Share of quotes with any fill; pale cells have fewer than {n} quotes, too few to colour.",
        "約定した指値の割合。淡いセルは {n} 件未満のため色付けしていません。",
    ),
    "heat": ("Stall age and spread together", "静止時間とスプレッドの組み合わせ"),
    "reasons": ("Why nothing was done", "見送りの理由"),
    "reasons_text": ("Share of the time in which nothing was done.", "見送っていた時間に占める割合。"),
    "actions": ("What was done", "実行した判断"),
    "actions_text": ("Decisions by kind and reason.", "種類と理由別の判断の数。"),
    "latency": ("Waiting times", "待ち時間"),
    "latency_text": (
        "Share of cases within this time. Stamps are taken here, when the answer or the event arrives.",
        "その時間以内だった割合。時刻は当方での受信時点です。",
    ),
    "limits": ("Use of the rate limits", "API 制限の使用量"),
    "limits_text": (
        "Calls within the venue's rolling windows, as a share of each limit.",
        "取引所の各制限（直近の時間枠）に対する使用割合。",
    ),
    "days": ("Days", "日別"),
    "days_text": (
        "UTC days from the trade log: realised, without funding.",
        "UTC の日別（約定ログの実現損益、ファンディング除く）。",
    ),
    "compared": ("Key figures", "主要な数値"),
    "compared_text": (
        "The last column is the second less the first; in brackets its 95 % interval, bold if it excludes zero.",
        "右端は2番目から1番目を引いた差。ゼロを含まない区間は太字です。",
    ),
    "equity_pair_text": (
        "Result marked to the mid, since the beginning of each run.",
        "各運用の開始からの損益（仲値で評価）。",
    ),
    "markouts_pair_text": (
        "Quotes of both runs: distance of the mid from the fill's price, positive in our favour.",
        "両運用の指値の約定について、仲値が約定価格に対してどれだけ有利だったか。",
    ),
    # Axes and traces
    "time_axis": ("time, {zone}", "時刻（{zone}）"),
    "elapsed": ("time since the start, {unit}", "開始からの時間（{unit}）"),
    "jpy": ("JPY", "円"),
    "btc": ("BTC", "BTC"),
    "jpy_per_btc": ("JPY per BTC", "円/BTC"),
    "percent": ("%", "%"),
    "ms": ("ms", "ミリ秒"),
    "seconds_after": ("time after the fill", "約定からの時間"),
    "at_fill": ("at the fill", "約定時"),
    "stall_age": ("best prices stood still, ms", "最良気配の静止時間（ミリ秒）"),
    "spread_axis": ("spread, JPY", "スプレッド（円）"),
    "count": ("count", "回数"),
    "marked": ("marked to the mid", "評価損益込み"),
    "mid": ("mid", "仲値"),
    "logged_price": ("strikes and fills", "発注・約定価格"),
    "buy_quotes": ("buy, quote", "買い・指値"),
    "sell_quotes": ("sell, quote", "売り・指値"),
    "buy_closes": ("buy, close", "買い・決済"),
    "sell_closes": ("sell, close", "売り・決済"),
    "group_quotes": ("quotes", "指値"),
    "group_closes": ("closes", "決済"),
    "limit": ("limit", "上限"),
    "difference": ("Difference", "差"),
    "figure": ("Figure", "項目"),
    "day": ("Day", "日"),
    # Parts
    "part_spread_quotes": ("Spread, quotes", "スプレッド（指値）"),
    "part_spread_closes": ("Spread, closes", "スプレッド（決済）"),
    "part_adverse_quotes": ("Adverse selection, quotes", "逆選択（指値）"),
    "part_adverse_closes": ("Move after closes", "決済後の動き"),
    "part_inventory": ("Inventory", "在庫"),
    "part_unpriced": ("Without a mid", "仲値不明"),
    "part_fees": ("Fees", "手数料"),
    "part_funding": ("Funding", "ファンディング"),
    "part_total": ("Result", "損益合計"),
    # Waits and limits
    "wait_place": ("sent to accepted", "送信 → 受付"),
    "wait_register": ("sent to on the book", "送信 → 板に掲載"),
    "wait_cancel": ("cancel to confirmed", "取消送信 → 確認"),
    "wait_fill": ("accepted to first fill", "受付 → 最初の約定"),
    "wait": ("Wait", "待ち時間"),
    "limit_private": ("private calls in 5 min", "非公開 API 5分間"),
    "limit_orders": ("orders in 5 min", "発注 5分間"),
    "limit_small": ("small orders in 1 min", "小口発注 1分間"),
    "limit_requests": ("requests in 1 min", "リクエスト 1分間"),
    "limit_weight": ("weight in 1 min, in sends", "ウェイト 1分間（送信換算）"),
    "limit_sends": ("sends in 1 min", "送信 1分間"),
    "limit_peak": ("Peak use", "最大使用"),
    # Decisions
    "act_strike": ("strike", "発注"),
    "act_cancel": ("cancel", "取消"),
    "act_close": ("close", "決済"),
    "act_halt": ("halt", "停止"),
    "act_resume": ("resume", "再開"),
    **SWEEP_WORDS,
}

_REASONS_JA: Final[dict[Reason, str]] = {
    Reason.STRIKE: "発注",
    Reason.HALTED: "停止中",
    Reason.STOPPING: "終了処理中",
    Reason.CLOSING: "決済中",
    Reason.VENUE_NOT_RUNNING: "取引所が稼働していない",
    Reason.VENUE_UNHEALTHY: "取引所が高負荷",
    Reason.QUIET_TIME: "静止時間帯",
    Reason.BOOK_UNKNOWN: "板が不明",
    Reason.BOOK_SUSPECT: "板が疑わしい",
    Reason.BOOK_STALE: "板が古い",
    Reason.BUDGET: "API 制限の節約",
    Reason.POSITION_LIMIT: "建玉上限",
    Reason.QUOTING: "指値が出ている",
    Reason.SPREAD: "スプレッドが狭い",
    Reason.STALL_IMMATURE: "静止が足りない",
    Reason.ACCOUNT_UNKNOWN: "口座が不明",
    Reason.JOURNAL_LOCKED: "ジャーナルがロック中",
    Reason.MARGIN: "証拠金不足後の休止",
    Reason.TTL: "有効時間切れ",
    Reason.BEST_MOVED: "最良気配が動いた",
    Reason.REVERSE: "逆行",
    Reason.FLATTEN: "建玉解消",
    Reason.DUST: "端数",
    Reason.KILL_PNL: "日次損失の上限",
    Reason.KILL_DRAWDOWN: "ドローダウンの上限",
    Reason.LOG_FAILURE: "ログ書き込み失敗",
    Reason.OPERATOR: "運用者の指示",
    Reason.REJECTS: "拒否の連続",
    Reason.INTERNAL_ERROR: "内部エラー",
    Reason.LIMIT_BREACH: "API 制限の超過",
    Reason.AUTH_REFUSED: "認証の拒否",
    Reason.POSITION_MISMATCH: "建玉の不一致",
    Reason.CLOCK_SKEW: "時計のずれ",
    Reason.DAY_ROLL: "取引日の切り替え",
    Reason.RESUMED: "再開",
    Reason.ORPHAN: "残っていた注文",
}


class Labels:
    """Texts in one language, and times in one zone."""

    def __init__(self, language: str, zone: str | None = None) -> None:
        """``zone`` is an IANA name, by default that of :data:`ZONES`. ``language`` is one of :data:`LANGUAGES`."""
        self.language = language
        self.zone = ZONES[language] if zone is None else zone
        self._zone = ZoneInfo(self.zone)
        self._at = LANGUAGES.index(language)

    def __call__(self, key: str, **fields: object) -> str:
        """The text of a key, with its fields filled in."""
        words = WORDS[key][self._at]
        return words.format(**fields) if fields else words

    def moment(self, ts_ns: int) -> str:
        """A stamp in the zone, to the second: ``2026-01-05 09:00:00``."""
        return self.stamp(ts_ns)[:19]

    def stamp(self, ts_ns: int) -> str:
        """The same to the millisecond, for plotly, which knows no zones and shows it unchanged."""
        seconds, rest = divmod(ts_ns, NS_PER_S)
        return f"{datetime.fromtimestamp(seconds, self._zone):%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"

    def reason(self, label: str) -> str:
        """The text for a reason of the logs; the log's own text if unknown."""
        known = {reason.label: reason for reason in _REASONS_JA}
        if label not in known:
            return label
        return label.replace("_", " ") if self.language == "en" else _REASONS_JA[known[label]]

    def act(self, kind: str) -> str:
        """The text for a decision's type; the log's own text if unknown."""
        key = f"act_{kind}"
        return self(key) if key in WORDS else kind

    def metric(self, name: str) -> str:
        """The text for a metric of a sweep; its own name if unknown."""
        key = f"metric_{name}"
        return self(key) if key in WORDS else name
