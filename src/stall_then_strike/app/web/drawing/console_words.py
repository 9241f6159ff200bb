"""All texts of the console, in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stall_then_strike.app.control.verbs import MEANING, Verb
from stall_then_strike.app.view.reason_words import SENTENCES
from stall_then_strike.types.dto import Reason

LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "ja": "日本語"}

_WILL: Final = {Verb.RESUME: "This will lift the pause, or the halt, and the program trades again."}
_WILL_JA: Final = {
    Verb.PAUSE: "指値を取り消し、再開するまで新しい指値を出しません。決済は続けます。",
    Verb.RESUME: "一時停止または停止を解除し、取引を再開します。",
    Verb.CANCEL_ALL: "いま有効な指値を取り消します。指値の発注は続きます。",
    Verb.FLATTEN: "指値を取り消し、建玉を決済し、再開するまで建玉を持ちません。",
    Verb.HALT: "キルスイッチを作動させます。指値を取り消し、建玉を決済します。",
    Verb.STOP: "プログラムを正しい手順で終了します。",
    Verb.RELOAD: "設定を読み直し、取引中に変えてよいものを適用します。",
}
_REASONS_JA: Final = {
    Reason.STRIKE: "最良気配が十分に長く静止し、スプレッドも十分でした。",
    Reason.STRATEGY: "戦略の判断です。",
    Reason.HALTED: "取引は停止しています。",
    Reason.STOPPING: "プログラムが終了処理中です。",
    Reason.CLOSING: "建玉を決済中です。",
    Reason.VENUE_NOT_RUNNING: "取引所の板が稼働していると確認できません。",
    Reason.VENUE_UNHEALTHY: "取引所が高負荷か、注文を受け付けていません。",
    Reason.QUIET_TIME: "取引しない時間帯です。",
    Reason.BOOK_UNKNOWN: "板が不明です。接続後のスナップショットがまだありません。",
    Reason.BOOK_SUSPECT: "板が疑わしい状態です。取引所の仲値またはそれ自体と矛盾しています。",
    Reason.BOOK_STALE: "板が古くなっています。メッセージが途絶えています。",
    Reason.BUDGET: "取引所の回数制限の残り、または拒否後の休止のため発注できません。",
    Reason.POSITION_LIMIT: "どちらかが約定すると建玉が上限を超える可能性があります。",
    Reason.QUOTING: "自分の指値が出ています。",
    Reason.SPREAD: "スプレッドが狭すぎます。",
    Reason.STALL_IMMATURE: "最良気配の静止がまだ足りません。",
    Reason.ACCOUNT_UNKNOWN: "プライベートチャネルの接続後、口座がまだ照合されていません。",
    Reason.JOURNAL_LOCKED: "別のプログラムがジャーナルへの書き込みを妨げています。",
    Reason.PAUSED: "運用者が取引を一時停止しました。",
    Reason.MARGIN: "証拠金不足で注文が拒否されたため休止中です。",
    Reason.TTL: "有効時間が過ぎました。",
    Reason.BEST_MOVED: "最良気配が発注時の位置から動きました。",
    Reason.REVERSE: "仲値が建玉の平均価格に対して逆行しすぎました。",
    Reason.FLATTEN: "プログラムの終了または運用者の指示により建玉を決済します。",
    Reason.DUST: "残りの建玉が最小注文数量に満たないため、そのままです。",
    Reason.KILL_PNL: "当日の損益が限度に達しました。",
    Reason.KILL_DRAWDOWN: "当日の最高点からの下落が限度に達しました。",
    Reason.LOG_FAILURE: "ログまたはジャーナルに書き込めませんでした。",
    Reason.OPERATOR: "運用者の指示です。",
    Reason.REJECTS: "1 分以内の注文拒否が多すぎました。",
    Reason.INTERNAL_ERROR: "戦略が失敗しました。",
    Reason.LIMIT_BREACH: "取引所が回数制限の超過を報告しました。",
    Reason.AUTH_REFUSED: "取引所がキー、権限または署名を拒否しました。",
    Reason.POSITION_MISMATCH: "取引所の建玉が異なり、説明がつきません。",
    Reason.CLOCK_SKEW: "この機械の時計と取引所の時計がずれすぎています。",
    Reason.DAY_ROLL: "新しい取引日が始まりました。",
    Reason.RESUMED: "運用者が停止を解除しました。",
    Reason.ORPHAN: "以前の実行の注文、または応答のなかった注文が板に残っていました。",
}
TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("stall then strike", "stall then strike"),
    "overview": ("Overview", "概要"),
    "results": ("Results", "成績"),
    "log": ("Log", "ログ"),
    "why": ("Why", "理由"),
    "logout": ("Log out", "ログアウト"),
    "theme": ("Theme", "配色"),
    "theme.auto": ("auto", "自動"),
    "theme.light": ("light", "明るい"),
    "theme.dark": ("dark", "暗い"),
    # login
    "login": ("Log in", "ログイン"),
    "login.token": ("Token", "トークン"),
    "login.hint": (
        "The console printed it when it started, unless it was given in STS_CONSOLE_TOKEN.",
        "コンソールの起動時に一度だけ表示されます。STS_CONSOLE_TOKEN で与えた場合はその値です。",
    ),
    "login.wrong": ("This is not the token.", "トークンが違います。"),
    "login.wait": (
        "Too many wrong tokens. Try again in {seconds} s.",
        "誤りが続いたため受け付けていません。{seconds} 秒後にもう一度お試しください。",
    ),
    # state
    "state.running": ("trading", "取引中"),
    "state.starting": ("starting", "開始中"),
    "state.paused": ("paused", "一時停止中"),
    "state.flat": ("paused and flat", "一時停止・建玉なし"),
    "state.halted": ("halted", "停止"),
    "state.ending": ("ending", "終了処理中"),
    "state.absent": ("no run answers", "応答なし"),
    "state.other": ("another version", "版の不一致"),
    "state.waiting": ("asking the run", "問い合わせ中"),
    "state.late": ("the run does not answer", "応答が遅れています"),
    "absent.text": (
        "Nobody answers at the socket of the run. The last known figures are shown as they were.",
        "実行のソケットに応答がありません。最後に分かった値をそのまま表示しています。",
    ),
    "absent.never": (
        "Nobody answers at the socket of this log folder. Figures come when a run starts there.",
        "このログフォルダのソケットに応答がありません。取引が始まると値が表示されます。",
    ),
    "absent.other": (
        "The run is of version {run}, this console of {console}: it cannot read what the run tells. Restart the older.",
        "実行（{run}）とこのコンソール（{console}）の版が違い、状態を読めません。古いほうを再起動してください。",
    ),
    "asked": ("as of {age} ago", "{age}前の値"),
    "up": ("up {span}", "稼働 {span}"),
    # account
    "day": ("Result, {date}", "損益 {date}"),
    "day.realised": ("realised {money}", "実現 {money}"),
    "position": ("Position", "建玉"),
    "drawdown": ("Drawdown", "ドローダウン"),
    "loss": ("Day's loss", "当日損失"),
    "of": ("of {limit}", "上限 {limit}"),
    "no_limit": ("no limit", "上限なし"),
    "average": ("average {price}", "平均 {price}"),
    "equity": ("Result of today", "本日の損益"),
    "equity.none": ("The line begins with the first minutes of the run.", "運転開始から数分で描かれます。"),
    "equity.from": ("begin of the run or the day", "開始または日の初め"),
    "equity.now": ("now", "現在"),
    "flat": ("flat", "なし"),
    # market
    "market": ("Market", "市場"),
    "mid": ("Mid", "仲値"),
    "spread": ("Spread", "スプレッド"),
    "ticks": ("{count} ticks", "{count} ティック"),
    "stood": ("best stood {age}", "最良気配の静止 {age}"),
    "depth": ("Depth", "板"),
    "bid": ("Bid", "買い"),
    "ask": ("Ask", "売り"),
    "chart.price": (
        "Mid price with our quotes and fills, last {minutes} min",
        "仲値と自分の指値・約定（直近 {minutes} 分）",
    ),
    "chart.legend.mid": ("mid", "仲値"),
    "chart.legend.own": ("our quotes", "自分の指値"),
    "chart.legend.buy": ("bought", "買い約定"),
    "chart.legend.sell": ("sold", "売り約定"),
    "chart.none": ("The chart fills while the console watches.", "コンソールが見ている間に描かれていきます。"),
    "since": ("since {time} UTC", "{time} UTC から"),
    # tables
    "orders": ("Live orders", "有効な注文"),
    "orders.none": ("No order is live.", "有効な注文はありません。"),
    "decisions": ("Decisions", "判断"),
    "decisions.none": ("No decision yet.", "まだ判断はありません。"),
    "fills": ("Fills", "約定"),
    "fills.none": ("No fill yet.", "まだ約定はありません。"),
    "col.time": ("Time, UTC", "時刻 UTC"),
    "col.side": ("Side", "売買"),
    "col.price": ("Price", "価格"),
    "col.size": ("Size", "数量"),
    "col.left": ("Left", "残り"),
    "col.state": ("State", "状態"),
    "col.age": ("Age", "経過"),
    "col.what": ("What", "内容"),
    "col.reason": ("Reason", "理由"),
    "col.result": ("Result", "損益"),
    "col.tag": ("Tag", "種別"),
    "col.period": ("Period", "期間"),
    "col.fills": ("Fills", "約定数"),
    "col.volume": ("Volume", "出来高"),
    "col.fees": ("Fees", "手数料"),
    "col.product": ("Instrument", "銘柄"),
    "col.position": ("Position", "建玉"),
    "col.level": ("Level", "レベル"),
    "col.text": ("Text", "本文"),
    "side.BUY": ("buy", "買い"),
    "side.SELL": ("sell", "売り"),
    "market_order": ("market", "成行"),
    # limits
    "limits": ("Limits of the venue", "取引所の制限"),
    "limits.none": ("No limit is known.", "制限は分かっていません。"),
    "limit.free": ("free now", "空きあり"),
    "limit.next": ("next in {seconds} s", "次は {seconds} 秒後"),
    "limit.wait": ("The next quote waits: {text}", "次の指値は待機中: {text}"),
    # health
    "health": ("Health", "健全性"),
    "health.feed": ("Feed", "配信"),
    "health.feed.on": ("connected, last message {age} ago", "接続中、最新メッセージ {age}前"),
    "health.feed.off": ("not connected", "切断"),
    "health.reconnects": ("Reconnects", "再接続"),
    "health.book": ("Book", "板の状態"),
    "health.book.ok": ("proven", "確認済み"),
    "health.book.unknown": ("unknown", "不明"),
    "health.book.suspect": ("suspect", "疑わしい"),
    "health.book.stale": ("stale", "古い"),
    "health.venue": ("Venue", "取引所"),
    "health.account": ("Account", "口座"),
    "health.account.ok": ("reconciled {age} ago", "{age}前に照合済み"),
    "health.account.open": ("not reconciled", "未照合"),
    "health.account.down": ("private channel is down", "プライベートチャネル切断"),
    "health.account.paper": ("on paper", "ペーパー取引"),
    "health.doubt": ("{count} orders in doubt", "不確かな注文 {count} 件"),
    "health.loop": ("Loop lag, p99", "ループ遅延 p99"),
    "health.decision": ("Decision, p50 / p99", "判断 p50 / p99"),
    "health.halt": ("Halt", "停止"),
    "health.halt.none": ("none", "なし"),
    "health.beat": ("Heartbeat", "ハートビート"),
    "health.beat.ok": ("{age} ago", "{age}前"),
    "health.beat.none": ("no file", "ファイルなし"),
    "unit.s": ("s", "秒"),
    "unit.min": ("min", "分"),
    "unit.h": ("h", "時間"),
    "good": ("good", "良好"),
    "warn": ("warning", "注意"),
    "bad": ("bad", "異常"),
    # log
    "log.tail": ("Log, latest lines", "最新のログ"),
    "log.none": ("The log has no lines yet.", "ログはまだありません。"),
    "log.more": ("All of the latest lines", "最新の行をすべて見る"),
    # results
    "results.day": ("By day", "日別"),
    "results.week": ("By week", "週別"),
    "results.month": ("By month", "月別"),
    "results.none": ("No trade of these runs has been logged.", "これらの実行に約定の記録はありません。"),
    "results.note": (
        "Realised, with fees, from the logs of this run and others of its kind; trading days of {zone}.",
        "この実行と同種の実行の約定ログによる実現損益（手数料込み）。日は {zone} の取引日です。",
    ),
    "results.week.of": ("week of {date}", "{date} の週"),
    # why
    "why.asked": ("What was done around {moment}", "{moment} 前後の動き"),
    "why.none": ("Nothing was found.", "何も見つかりませんでした。"),
    "why.failed": ("The question could not be answered: {error}", "答えられませんでした: {error}"),
    "why.line": ("Time line", "時系列"),
    "why.holds": ("Why nothing was done", "見送りの理由"),
    "why.link": ("why?", "なぜ?"),
    "why.busy": ("Another question is being answered. Try again.", "別の質問に答えています。もう一度お試しください。"),
    # acts
    "acts": ("Commands", "操作"),
    "act.pause": ("Pause", "一時停止"),
    "act.resume": ("Resume", "再開"),
    "act.cancel-all": ("Cancel all", "全取消"),
    "act.flatten": ("Flatten", "建玉解消"),
    "act.halt": ("Halt", "緊急停止"),
    "act.stop": ("Stop", "終了"),
    "act.reload": ("Reload", "設定再読込"),
    **{f"act.{verb.value}.will": (_WILL.get(verb, f"This will {MEANING[verb]}."), ja) for verb, ja in _WILL_JA.items()},
    "act.question": ("{act}?", "{act}しますか?"),
    "act.reason": ("Reason, for the journal", "理由（ジャーナルに残ります）"),
    "act.no": ("Not now", "やめる"),
    "act.close": ("Close", "閉じる"),
    "act.differs": ("What differs from the settings in use:", "使用中の設定との違い:"),
    "act.sending": ("Sent; waiting for the answer.", "送信しました。応答を待っています。"),
    "act.done": ("Done", "完了"),
    "act.refused": ("Refused", "拒否"),
    "act.lost": (
        "No answer. Whether it was done is not known; look at the state above.",
        "応答がありません。実行されたかどうかは不明です。上の状態を確認してください。",
    ),
    **{f"reason.{reason.label}": (SENTENCES[reason], ja) for reason, ja in _REASONS_JA.items()},
}
"""Each text in the languages of ``LANGUAGES``."""


class Words:
    """The texts in one language."""

    def __init__(self, language: str) -> None:
        """An unknown language is English."""
        self.language = language if language in LANGUAGES else "en"
        self._number = tuple(LANGUAGES).index(self.language)

    def __call__(self, key: str, **values: object) -> str:
        """A text with its values."""
        text = TEXTS[key][self._number]
        return text.format(**values) if values else text

    def age(self, seconds: float) -> str:
        """A time span in a few letters: ``0.4 s``, ``12 s``, ``3 min``, ``2 h``."""
        if seconds < 120:
            return f"{max(0.0, seconds):.{int(seconds < 10)}f} {self('unit.s')}"
        if seconds < 7_200:
            return f"{seconds / 60:.0f} {self('unit.min')}"
        return f"{seconds / 3_600:.0f} {self('unit.h')}"

    def reason(self, label: str) -> str:
        """A reason of the logs in words; the label itself if it is unknown here."""
        key = f"reason.{label}"
        return self(key) if key in TEXTS else label


def language_of(cookie: str, accepted: str) -> str:
    """The language that was chosen, else the first of ``Accept-Language`` that is known, else English."""
    if cookie in LANGUAGES:
        return cookie
    for part in accepted.split(","):
        if (name := part.split(";")[0].strip()[:2].lower()) in LANGUAGES:
            return name
    return "en"
