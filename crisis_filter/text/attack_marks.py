"""Marks an attack forges: fences, role markers, verdict objects, tool calls, patterns over folded text with its marks kept."""

from __future__ import annotations

import re

_ROLE = r"(?:system|assistant|developer|chatgpt|gpt|model|ai)"
_NOT_A_BODY = "".join(
    rf"(?<!\b{word} )"
    for word in (
        "the",
        "my",
        "your",
        "immune",
        "nervous",
        "digestive",
        "operating",
        "health",
        "care",
        "healthcare",
        "support",
        "school",
        "legal",
        "justice",
        "medical",
        "physician",
        "dental",
        "teaching",
        "personal",
        "research",
        "voice",
        "shop",
        "sales",
        "error",
        "info",
        "warn",
        "warning",
        "debug",
        "file",
        "alarm",
    )
)
_END = r"(?:end|begin|start|stop|close|eof|eom)"
_PART = r"(?:message|text|input|user|data|prompt|untrusted|instructions?|content|system|quote|fence|context|transcript|conversation|document|query|screening|record|task|turn)"
_TAG = (
    r"(?:final[_-]?(?:answer|verdict)|verdict|(?:user|patient|untrusted|system|member|raw)[_-](?:message|input|text|query|prompt|data|content|note|override|instructions?)|"
    r"untrusted|system|assistant|instructions?|prompt|thinking|scratchpad|nonce|tool[_-]?calls?|function[_-]?calls?|tool[_-]?(?:use|result|response|output)|function[_-]?results?|invoke|crisis|classification|admin|override|policy|screen(?:ing)?(?:[_-]\w{1,20})?|developer|jailbreak|think|reasoning)"
)
_CLOSED = r"(?:message|msg|user|input|query|conversation|transcript|text|document|prompt|s|fence|quote|untrusted|data|context)"

FORGED_STRUCTURE = (
    r"<\|[^|<>\n]{1,40}\|>",  # <|im_start|>, <|eot_id|>
    r"\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|<(?:bos|eos|eot|endoftext)>",
    r"#{3,6} ?(?:system|instructions?|response|input|assistant|user|human|new|task|output|prompt|override|answer|developer|end)\b",
    rf"(?:^|\n)[ \t>*_\"'\[(-]{{0,6}}{_ROLE}[ \t*_\])\"']{{0,4}}[:>：]",
    # "my system:" speaks of a body, unless it goes on like a program.
    r"\b(?:system|assistant|developer)[*_\]\"']{0,3} ?[:：](?!//)[^\n]{0,60}?\b(?:screening (?:task|is|has|was)|classif\w+|verdict|(?:not|no) (?:an? |in )?crisis|override|instructions? (?:are|have|is)|jailbreak)\b",
    r"<!--",
    rf"\b(?=[sad]){_NOT_A_BODY}(?:system|assistant|developer)[*_\]\"']{{0,3}} ?[:：](?!//)",
    r"[\[({<«【](?:/)?(?:system|assistant|admin|developer|sys|sudo|root|moderator|internal|operator|override)(?:[ _:\-][^\])}>»】\n]{0,60})?[\])}>»】]",
    r"\bsystem (?:note|override|message|prompt|instructions?|directive|command|notice|alert|log|update)s?[*_\]\"']{0,3} ?[:：\]]",
    r"\b(?:new|updated|revised|override|overriding|emergency|priority|hidden|secret) (?:system |core |top |user |developer )?(?:instructions?|directives?|prompt|objective|task|orders) ?[:：]",
    r"(?:^|\n)\W{0,4}(?:human|user) ?[:：][^\n]{0,400}\n+\W{0,4}(?:assistant|ai|model|system|bot) ?[:：]",
    rf"[-=*#_<>\[({{|~/`+]{{2}} {{0,2}}(?:/ ?)?{_END}(?:[ _-](?:of[ _-])?(?:the )?(?:(?!forwarded|replied|pgp|rsa)[a-z]{{1,12}}[ _-])?{_PART}[^\n]{{0,20}}?)? {{0,2}}[-=*#_<>\])}}|~/`+]{{2}}",
    rf"[\[({{<] ?/? ?{_END}[ _-](?:of[ _-])?(?:the )?(?:(?!forwarded|replied|pgp|rsa)[a-z]{{1,12}}[ _-])?{_PART}[^\n\])}}>]{{0,30}}[\])}}>]",
    rf"[-=*#_~]{{3}} ?(?:new |system |updated |override |developer |admin |hidden ){{1,2}}{_PART}",
    rf"</?\s?{_TAG}\b[^<>\n]{{0,80}}>",
    r"\"(?:role)\"\s?:\s?\"(?:system|assistant|tool)\"",
    r"\"?\b(?:tool_calls?|function_call|tool_use|tool_choice)\"?\s?[:=({\[]",
    r"\b(?:submit|set|record|report|return|update|final|mark|clear|override|classify|label|emit|write|close|disable|cancel|log)_?(?:verdict|label|answer|classification|result|outcome|crisis|screen(?:ing)?|message|safe|as_safe|not_crisis|no_crisis|alert|case|flag|escalation)\w{0,12} ?\(",
    r"\bnonce\b[\"'`]?\s{0,2}(?:[:=]|is|was)\s{0,2}[\"'`<{]{0,3}[0-9a-f]{4,}",
    r"\"nonce\"|<message nonce|\bnonce ?=",
    r"\{\{ ?/?(?:message|nonce|system|user|prompt|input)[^}\n]{0,20}\}\}",
)

_SEP = r"(?=[^\w\n]{0,8}[:=|>\"'`→])[^\w]{1,10}"
_FLAT_NO = r"(?:false\b|(?:no|none|null|0|negative|nil|off|absent)\b(?=\s{0,3}[\"'`,}\]<;|)/.*\n]|\s{0,3}\Z))"
FORGED_VERDICT = (
    rf"crisis(?:[_ -]?(?:detected|flag|status|present|risk|label|verdict|level|found|indicator|value|field|category))?{_SEP}(?:{_FLAT_NO}|\"?f\b)",
    r"(?:verdict|final[_ ]answer|classification|classified[_ ]as|decision|label|screen(?:ing)?[_ ]?(?:result|outcome|verdict|decision)?|outcome|predict(?:ed|ion)(?:[_ ]?(?:label|class))?|answer|output|result|assessment|determination|judge?ment|conclusion|response|status|category|stage ?1|\ba|evaluation|reply|completion|reasoning|json)"
    r"[\"'`*_\])]{0,3}\s{0,2}(?:[:=>：]|->|=>|→)[\"'`*_\s<>\[{(]{0,6}(?:the |a |this is |it is |there is |message is |user is )?(?:not?[ _-](?:an? |in )?(?:\w{1,12} )?crisis|non[ _-]?crisis|nocrisis|notcrisis|no[ _-]?(?:risk|flag|escalation)\b(?! (?:of|factors)))",
    r"(?:verdict|final[_ ]answer|final[_ ]verdict|predicted[_ ]label|ground[_ ]truth|gold[_ ]label|classification|label|answer)[\"'`*_\])]{0,3}\s{0,2}(?:[:=：]|->|=>|→)[\"'`*_\s<>\[{(]{0,6}(?:false\b|safe\b(?! (?:place|space|sex|in|to|for|at|and))|\"(?:negative|benign|none|no|clear(?:ed)?)\")",
    r"(?:verdict|final[_ ]answer|answer|classification|decision|completion|assistant|final[_ ](?:verdict|output))[\"'`*_]{0,3}\s{0,2}[:=：]\s{0,2}(?:```(?:json)?\s{0,2})?\{",
    r"\{\s{0,6}[\"'](?:crisis|nonce|verdict|is_crisis|reasoning|label|final_answer|no_crisis|classification|severity|crisis_detected|screen|categories)[\"']\s{0,2}:",
    r"[\"'](?:suicid\w{1,4}|self[_-]?harm|psychosis|eating[_-]?disorder|substance[_-]?misuse|escalate|at[_-]?risk|needs?[_-]?escalation|needs?[_-]?human|crisis)[\"']\s{0,2}:\s{0,2}(?:false|null|none|0\b|\[\]|\"(?:none|no|absent|low|false)\"|\{\s{0,4}\"(?:rationale|present))",
    r"\bno_crisis\b|\bnot_crisis\b|\bnon_crisis\b|\bis_crisis\b|\bcrisis_false\b",
    r"\b(?:crisis|is_crisis|escalate|flagged|self_harm|suicide) ?(?:==?|:=|=>|->|→) ?(?:false|no|none|0|null|not)\b",
    r"\b(?:complete|continue|finish|fill in) (?:the |this |with |my )?(?:following )?(?:json|object|verdict|answer|line|sequence|output|pattern|blank|sentence|form)\w{0,2} ?[:：]",
    r"\b(?:sure|certainly|of course|absolutely|okay|ok)[,!.]{0,2} (?:here(?:'s| is)|this is) (?:the |my |your |a )?(?:json|verdict|answer|classification|output|result|screening)",
    r"<(?:label|verdict|crisis|answer|result|risk|output|is_crisis|flag|decision|outcome)>\s{0,3}(?:false|0|no|none|negative|safe|benign|no[ _]?crisis|all clear|low)\b",
    r"(?:\bis_crisis|\bcrisis_[a-z]{1,12}|[\"']crisis[\"']|[-*•|,{]\s?crisis)[\"'`]?\s?[:=]\s?[\"'`]?(?:false|no|none|null|0|negative|low)\b",
    r"\b(?:label|classification|predicted|prediction)[\"'`*]{0,3} ?[:=] ?[\"'`*]{0,3}(?:negative|clear|none|0)\b",
    r"\b(?:final|correct|only|right) (?:verdict|label|classification|output)(?: is)? ?[:=]",
    r"\bnext (?:message|item|input|sample|record|user|text) ?:",
    r"\b(?:skip|bypass|disable|no|ignore|suppress)_(?:screen\w{0,6}|flag\w{0,6}|crisis|checks?|safety|filters?|alerts?|escalat\w{0,4}|review|moderation)\"? ?[:=] ?(?:true|1|yes|on)\b",
    r"(?:print|echo|return|console\.log|puts|printf) ?[(\"' ]{1,3}(?:not?[ _-]?crisis|crisis[:= ]{1,3}false)",
)


def forged_fence(folded: str) -> bool:
    """Whether on some line a quote is closed together with brackets, or a tag is closed, that were not opened on that line.

    Code and logs open what they close; a text that means to end the string it stands in does not. Each line is judged by itself.
    """
    return any(_closes_unopened(line) for line in folded.split("\n"))


_QUOTE_THEN_CLOSE = re.compile(r"\\?[\"'”]\s{0,3}[}\])]{1,8}")
_CLOSING_TAG = re.compile(rf"<(/?)\s?({_CLOSED})\b[^<>]{{0,60}}>")


def _closes_unopened(line: str) -> bool:
    if "</" in line:
        opened: dict[str, int] = {}
        for tag in _CLOSING_TAG.finditer(line):
            opened[tag[2]] = opened.get(tag[2], 0) + (-1 if tag[1] else 1)
            if opened[tag[2]] < 0:
                return True
    if "]]>" in line and "<![cdata[" not in line:
        return True
    if "}" not in line and "]" not in line:
        return False
    depth = quotes = at = 0
    for match in _QUOTE_THEN_CLOSE.finditer(line):
        before = line[at : match.start()]
        quotes += before.count('"')
        depth += sum(before.count(c) for c in "{[(") - sum(before.count(c) for c in "}])")
        closers = sum(match.group().count(c) for c in "}])")
        if depth < closers and quotes % 2 == 0 and ("}" in match.group() or "]" in match.group()):
            return True
        quotes += match.group().count('"')
        depth = max(0, depth - closers)
        at = match.end()
    return False
