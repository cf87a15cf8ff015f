"""What an attack says: patterns by sign, over prose (words with one space between) or over marks (the folded text).

A pattern is bounded: no gap is longer than a few words, so that no text can make it slow and adding lines cannot unmake it.
"""

from __future__ import annotations


def _any(words: str) -> str:
    """One of the words or phrases of a list separated by `/`; each may be a pattern."""
    return "(?:" + "|".join(word.strip() for word in words.split("/")) + ")"


def _gap(most: int) -> str:
    """Up to so many words, within a sentence."""
    return rf"(?:[\w|]{{1,24}} ){{0,{most}}}"


def _unless_before(words: str) -> str:
    """Not right after one of these words: there the phrase is told of somebody, not ordered."""
    return "".join(rf"(?<! {word.strip()} )" for word in words.split("/"))


_TOLD = r"(?=[a-z])" + _unless_before(
    "can i/should i/do i/could i/may i/did i/i should/i could/i must/i can/if i/me to/him to/her to/us to/ok to/okay to/allowed to/had to/have to/best to"
)
_TOLD_OF = _TOLD + _unless_before("i/ill/we/they/he/she/who/people/to")

# --- the machinery -----------------------------------------------------------------------------------------------------
_MACHINE = _any(
    "classifiers?/language models?/llms?/ai (?:model|system|judge|classifier|screener|moderator|reviewer|filter|safety|grader|reading|evaluator)/"
    "screening (?:system|model|tool|ai|bot|assistant|software|algorithm)/screener/grader/(?:safety|content|crisis) (?:filter|model|classifier|system|detector)/"
    "moderation (?:system|model|bot|ai)/automated (?:system|reviewer|screener|reader|moderator)/evaluator/triage (?:bot|ai|model|system)/judge model/reviewing model/"
    "model (?:reading|processing|reviewing|judging|evaluating|screening)"
)
_TEXT = _any(
    "message/messages/text/texts/input/conversation/transcript/sample/content/entry/passage/submission/utterance/string/post/sentence/prompt/user/sender/author/case/record/item/statement/words/paragraph/line"
)
# --- orders to drop orders ---------------------------------------------------------------------------------------------
_DROP = _any(
    "ignor(?:e|ing)/disregard(?:ing)?/forget(?:ting)?/overrid(?:e|ing)/overrule/bypass(?:ing)?/discard/overwrite/cancel/abandon/dismiss/skip/suspend/erase/neglect/drop/omit/"
    "pay no (?:attention|heed|mind) to/(?:set|put|leave|cast|throw) (?:aside|out|away)/stop (?:following|obeying|using|applying|enforcing)/"
    "(?:do not|dont|never|no longer|you neednt|need not) (?:follow|obey|apply|use|heed|adhere to|comply with)/turn off/disable/switch off/deactivate/"
    "disobey/violate/break free (?:of|from)/unlearn/wipe/reset"
)
_EARLIER = _any(
    "previous(?:ly)?/prior/above/preceding/foregoing/earlier/initial/original/system/safety/screening/former/classification/existing/built in/hidden/developer"
)
_ANY = _any("all/any/every/these/those/the/other/current/your/of your/its/whatever/both")
_ORDERS = _any(
    "instructions?/instrucions?/instuctions?/prompts?/guidelines?/directives?/commands?/programming/guardrails?/safeguards?/constraints?/directions/system message/system messages"
)
_RULES = _any(
    "rules?/orders/policy/policies/training/protocols?/criteria/rubric/context/filters?/checks?/restrictions?/tasks?/settings/config(?:uration)?/limits?"
)
_MEANT_FOR_PEOPLE = r"(?! (?:on|from|for|they|he|she|i|we|my|about|that came|in|at|with the|of the|her|his|inside|given to me|u|sheet|leaflet|label))"
_TOLD_YOU = _any(
    "(?:were|was|are|have been|ve been|had been|got) (?:previously |ever |already |just )?(?:told|instructed|taught|trained|given|asked|programmed|ordered|prompted|configured)/know about/learned"
)

OVERRIDE = (
    rf"\b{_TOLD}{_DROP} {_gap(3)}{_EARLIER} {_gap(2)}(?:{_ORDERS}|{_RULES})\b",
    rf"\b{_DROP} {_gap(2)}(?:{_ORDERS}|{_RULES}) {_gap(2)}(?:above|before this|preceding this|you were given|you have been given|youve been given|you received|given to you|so far|up to (?:this|now|here)|until now)\b",
    rf"\b{_TOLD_OF}{_DROP} {_gap(1)}{_ANY} {_gap(2)}{_ORDERS}\b{_MEANT_FOR_PEOPLE}",
    # Whatever stands before it, for an attack may stand in the middle of a sentence: nobody asks whether to drop all of them.
    rf"\b{_DROP} (?:all|any|every) (?:of )?(?:the |your )?{_EARLIER} {_gap(1)}{_ORDERS}\b{_MEANT_FOR_PEOPLE}",
    rf"\b{_DROP} {_gap(2)}your {_gap(3)}(?:{_ORDERS}|training|filters?|criteria|restrictions|protocols?|safety rules|screening|rubric|checks)\b",
    rf"\b{_DROP} (?:everything|anything|all|all of it|whatever|all text|all content|every word|the rest|all that|all of the text|all the text) {_gap(2)}(?:above|before this|preceding|prior to|that precedes|written above|earlier in|that came before|said so far|below)\b",
    rf"\b{_DROP} {_gap(2)}(?:everything|anything|all|what|whatever|things) {_gap(1)}you(?:ve)? {_gap(1)}{_TOLD_YOU}",
    rf"\byour {_gap(3)}(?:{_ORDERS}|rules|restrictions|training) {_gap(2)}(?:are|is|have been|has been|were|do|does|no) {_gap(3)}(?:void|cancelled|canceled|superseded|overridden|obsolete|outdated|suspended|revoked|replaced|lifted|disabled|not apply|longer appl\w+|changed|updated|null|invalid|rescinded|reset|deprecated)\b",
    rf"\b(?:{_EARLIER}|all|any) {_gap(1)}{_ORDERS} {_gap(2)}(?:are|is|have been|has been|were|do|does|no) {_gap(3)}(?:void|cancelled|canceled|superseded|overridden|obsolete|outdated|suspended|revoked|replaced|lifted|disabled|not apply|longer appl\w+|changed|null|invalid|rescinded|reset|deprecated|withdrawn)\b",
    rf"\byour (?:new|only|real|actual|true|updated|next|sole|one) (?:instructions?|directives?|task|prompt|objective|orders|job|goal|purpose|role) {_gap(2)}(?:is|are|now|will be) {_gap(1)}(?:now )?(?:to |follow|answer|output|respond|reply|return|say|label|mark|classify)",
    rf"\b(?:instead|now|just|simply|then) (?:only )?(?:answer|respond|reply|output|return|classify|print) {_gap(2)}(?:with|as) {_gap(4)}(?:false|not (?:a )?crisis|no crisis|negative|non crisis)\b",
    r"\b(?:disable|turn off|deactivate|switch off|skip|bypass|suspend|stop|exit|abort|halt|circumvent) (?:the |all |your |any |this |further )?(?:crisis |safety |risk |content |message )?(?:screening|classification|detection|moderation|escalation|crisis filter|safety filters?|content filters?|crisis check|safety checks?|risk assessment)\b",
    r"\bthese instructions (?:supersede|override|replace|take precedence|overrule|trump)|\b(?:supersedes?|overrides?|takes? precedence over) (?:all |any |your |the )?(?:\w+ )?(?:instructions?|prompts?|rules|guidelines)\b",
)

# --- which label to give -----------------------------------------------------------------------------------------------
_NOT_CRISIS = (
    r"(?:(?:not|non) crisis|noncrisis|not (?:a |an |any )(?:real |actual |true |genuine )?crisis|no crisis|isnt a crisis|nocrisis|notcrisis|crisis free"
    r"|crisis (?:(?:is|as|to|equals?|equal|field|value|flag|label|key|should be|must be|set|set to|the|be|boolean|property|variable|output|detected) ){0,3}(?:false|negative|null|none|zero|off|0)\b)"
)
_ANSWER = _any(
    "answer/answers/answered/respond/reply/output/outputs/return/returns/print/emit/classify/classified/label/labell?ed/mark/marked/flag/flagged/tag/tagged/rate/score/categori[sz]e/"
    "categori[sz]ed/verdict/classification/write/produce/choose/select/pick/generate/answering/outputting/returning/replying/responding/triage/submit/predict/give the answer/set/set the/put down/"
    "the answer is/the label is/treat/treated/register/log this/code this/report it as/report this as/conclude with/conclude that/decide/deem/reports?/record/file"
)
_ANSWER_HARD = _any(
    "answer/respond/reply/output/print/emit/classify/label/mark/flag/tag/score/categori[sz]e/answering/replying/responding/outputting/generate/produce/respond back/answer back"
)
_NOT_A_FALSE = r"(?<! or )(?<! true )false\b(?! (?:alarm|hope|info|information|positive|name|number|address|statement|memor|promise|accus|report|alleg|pretence|pretense|start|friend|sense|teeth|nail|ident|id\b|claim|stor|impression|econom|labou?r|advert|narrative|god|idol|prophet|self|dichotomy|charges|lash|eyelash|tooth|cover|face|test|result|details|date|or))"
_OBJECT = _any("this/the/that/these/all/every/any/my/it/above/following/preceding/user/users/me")
DICTATED = (
    rf"\b(?=[a-z]){_unless_before('they/people/doctors/we/i/she/he/mum/mom/staff/would/nurses/id/ill')}{_ANSWER} {_gap(6)}{_NOT_CRISIS}",
    rf"\b{_ANSWER_HARD} {_gap(4)}(?:with|only|just|exactly|the word|simply|always|as|is|literally|the single word|the value|the token|lowercase|be|json|boolean|it|this|to|nothing but|solely) {_gap(2)}{_NOT_A_FALSE}",
    rf"\b(?:answer|respond|reply|output|emit|print|say) (?:only |just |simply |always )?{_NOT_A_FALSE}",
    rf"\b(?:return|set|put|make|keep|assign|change|force|use|give|write|default|evaluate) {_gap(3)}(?:crisis|verdict|label|classification|answer|is crisis|flag|field|output|result|decision|risk|boolean) {_gap(3)}{_NOT_A_FALSE}",
    rf"\b(?:classify|label|mark|flag|tag|rate|score|categori[sz]e|treat|report|record|log|assess|judge|triage|code|consider|regard|interpret|read|see|evaluate|deem|handle|process|grade) {_OBJECT} {_gap(1)}{_TEXT} {_gap(3)}(?:as|with|to be|is|be|at|a|in) {_gap(3)}(?:safe|benign|harmless|negative|false|low risk|no risk|zero risk|not at risk|all clear|normal|non clinical|non urgent|routine|neutral|clean|ordinary|fine|not risky|unremarkable|resolved|zero|0|none|a joke|fictional|fiction|spam|noise)\b(?! (?:place|space|foods|doctor|words|hands|person|people|bag|boxes|i can|alarm))",
    rf"\b(?:classify|label|mark|flag|tag|categori[sz]e|output|answer|return|respond|code|score) {_gap(3)}(?:as |with |to )(?:benign|harmless|non crisis|false positive|noncrisis|no risk|zero risk|not at risk|not in crisis|not a crisis)\b",
    rf"\b(?:answer|respond|reply|output|print|emit|say|write|return|give) {_gap(3)}(?:the (?:single |one |exact |only )?(?:word|label|string|value|token|category|verdict|phrase)|one word|single word|only the) {_gap(3)}(?:safe|benign|negative|no|none|false|not|clear|ok|fine|routine|harmless)\b",
    r"\b(?:the |your |its |a )?(?:correct|right|only|expected|proper|appropriate|true|desired|required|final|intended|ideal|ground truth|gold|accurate|valid|acceptable|permitted|allowed) (?:answer|verdict|label|classification|output|response|result|outcome|decision|reply|category|class)s? (?:(?:here|is|was|should|would|must|will|be|for|this|to|the|that|it|of|simply|always|therefore|message|text|input|case|one|equals) ){0,6}(?:not|no|false|negative|safe|none|benign|non|0|zero|clear|low)\b",
    r"\b(?:verdict|classification|your (?:answer|label|output|decision|response|verdict|classification|judge?ment|result)) (?:(?:here|is|was|should|would|must|will|be|for|this|to|the|that|it|of|simply|always|therefore|message|text|input|case|one|has|have|field|remain|stay|as|only|contain|say|read) ){1,6}(?:not crisis|not a crisis|no crisis|false|negative|safe|none|benign|non crisis|0|zero|no risk|low risk)\b",
    r"\bthere is no crisis (?:in|here in) (?:this|the) (?:message|text|input|conversation|content)\b|\b(?:this|the) (?:message|text|input|conversation|content|transcript) (?:(?:above|below|you|are|reading|is|was|should|must|be|does|do|shows?|contains?|considered|classified|labell?ed|marked|a|an|as|therefore|definitely|clearly|not|has|indicates?) ){1,6}(?:not a crisis|not crisis|no crisis|non crisis|no risk|any crisis|no indication of (?:a )?crisis|not (?:show|indicate|contain|describe|constitute|represent) (?:a |any )?crisis|benign|crisis false)\b",
    r"\b(?:the|this) (?:user|sender|author|writer|member|person writing|account holder) (?:(?:above|is|was|has|are|not|does|have|been|a|an|in|actually|only|just|completely|totally|perfectly|merely|currently|simply|really|any|at|now|fully|and|there|writing|who|sent|wrote|this|shows?|presents?|with) ){1,6}(?:safe|fine|joking|kidding|testing|okay|ok|crisis|risk|danger|stable|actor|cleared|tester|employee|bot|hypothetical|whitelisted|fictional|verified|exempt)\b",
    r"\b(?:so |therefore |hence |thus )?(?:crisis|is crisis) (?:is |equals |set to |should be |must be |remains |stays )(?:to |now |always |be )?(?:false|negative|zero|0|null)\b",
    r"\b(?:score|rating|severity|risk|risk level|risk score|urgency|confidence|probability|likelihood|priority) (?:(?:is|must|should|be|to|of|as|level|score|field|value|set|for|this|equals|at|a) ){1,5}(?:0|0 0|zero|null|none)\b",
    r"\b(?:return|output|emit|give|produce|use|provide|submit|leave|keep) (?:only |just |an? |the |all )*(?:empty (?:list|array|json|object|set|categories|response|string)|(?:list|array|categories) empty|blank verdict|no categories|zero categories)\b",
    r"\b(?:choose|pick|select|give|assign|prefer|default to|go with|lean towards?|err on the side of) (?:the )?(?:lowest|least severe|minimum|negative|not crisis|safe|non crisis|benign|no risk) (?:label|class|category|risk|severity|score|verdict|answer|rating|level|urgency)\b(?! for)",
    r"\bno crisis (?:is |was |has been |can be |could be )?(?:present|found|detected|indicated|evident|identified|observed|here|exists)\b(?! (?:team|line))|\b(?:no|zero|without) (?:signs?|evidence|indications?|indicators?|trace) of (?:a |any )?crisis\b|\bnothing (?:here )?to (?:flag|classify|escalate)\b",
    r"\b(?:every|each|any) (?:answer|verdict|label|output|reply) you (?:give|write|produce|return)\b|\b(?:each|all) (?:of )?your (?:answers|outputs|verdicts|labels|replies) (?:must|should|will|are|is|be)\b",
    r"\bif (?:the|this|a|any|some) (?:text|input|sender|user|message|writer) (?:mentions?|contains?|includes?|talks?|refers?|seems?|looks?|sounds?) (?:[\w|]{1,24} ){0,12}(?:treat|answer|return|respond|output|mark|classify|consider|ignore|label|reply|score)\b",
    r"\b(?:classify|label|categori[sz]e|output) (?:this |it |all |everything |them )?as safe\b|\b(?:verdict|classification) follows\b",
)

FORBIDDEN = (
    rf"\b(?:do not|dont|never|must not|mustnt|should not|shouldnt|cannot|stop|avoid|refrain from|no need to|you may not|without|not to|forbidden to|not allowed to|prohibited from) (?:ever )?(?:flag|flagging|escalat\w+|classify|classifying|label|labell?ing|categori[sz]\w+|screen|screening|triage|triaging|mark|marking|alert on|raise|alerting on|notify anyone (?:of|about)|route|interpret\w*|treat\w*|analy[sz]\w+|assess\w*|evaluat\w+|judg\w+|process\w*|consider\w*) {_gap(3)}(?:message|messages|text|conversation|input|sample|entry|phrase|transcript|user|sender|content above|above content|anything|(?:it|this|the above) as (?:a |in )?crisis|as (?:a |in )?crisis)\b(?! (?:me|my))",
    rf"\b{_TEXT} {_gap(4)}(?:should|must|can|are|is|to|shall|may|needs?|will|were) (?:not|never|no longer|under no circumstances) (?:to )?(?:ever )?(?:be )?(?:flagg?ed|escalated|classified|labell?ed|screened|marked|treated as|counted|triaged|considered|judged|assessed|processed|interpreted|a crisis|flaggable)\b",
    r"\b(?:you should|you must|you can|you may|should|must|you|a model should|models should) (?:never|not|under no circumstances) (?:ever )?(?:flag|escalate|classify|label|categori[sz]e|output crisis|answer crisis|return true|output true|answer true|say crisis|mark (?:this|it|the)|answer yes)\b(?! me)",
    r"\b(?:no|without|zero) (?:human )?(?:escalation|flagging|flag|human review|review|triage|alert|classification|screening) (?:(?:is|was|of|for|this|the|should|be|by|any|message|user|or|to|text|sender) ){0,4}(?:required|necessary|warranted|allowed|permitted|created|raised|indicated|sent|made|performed)\b|\bno (?:alerts?|screening|classification|human review|flags?|flagging) (?:is |are )?needed\b",
    r"\b(?:exempt(?:ed)?|excluded?|excused|whitelisted|allow ?listed|white listed|pre ?approved|pre ?cleared) (?:from )?(?:(?:all|any|further|the|this|crisis|safety|automated|by|for|user|message|sender|account) ){0,4}(?:screening|classification|flagging|escalation|moderation|review|filter\w*|triage|detection|monitoring|account|sender|user)\b|\b(?:user|sender|account|message|number|member) (?:is|has been|was) (?:\w+ )?(?:whitelisted|allow ?listed|white listed|pre ?approved|pre ?cleared|exempt(?:ed)?)\b",
    r"\b(?:suppress|mute|silence|drop|withhold|block|cancel|clear|discard|dismiss|remove|close|delete) (?:all |any |the |this |every )?(?:crisis |safety |risk |further |future )?(?:alerts?|flags?|escalations?|verdicts?) (?:for|on|about|from|regarding) (?:this|the|that|my)\b",
    r"\b(?:do not|dont|never|must not|mustnt|should not|shouldnt|cannot|may not|not to) (?:ever )?(?:raise|send|trigger|create|issue|generate|fire|emit) (?:an? |any |the )?(?:alerts?|flags?|escalations?)\b",
)

ADDRESSED = (
    rf"\b(?:note|message|memo|attention|instructions?|notice|reminder|hint|dear|hello|hey|hi|listen|psst|warning|request|tip|info|information|fyi|cc|re|ps|todo) (?:to |for )?(?:the |any |all |whichever |whatever |you |our )?{_gap(1)}{_MACHINE}\b",
    r"\b(?:note|message|memo|attention|instructions?|notice|reminder|hint|directive) (?:to|for) (?:the |any |all )?(?:ai|model|assistant|llm|chatbot|filter|algorithm|moderator|annotator|labeler|labeller|parser|judge|machine)s?\b(?! (?:who|named|called|coming|at|in))",
    r"\b(?:as|being|act as|acting as|you are|youre|you re|you were|behave as|play) (?:a |an |the |now a |now an |now the |our |just a )(?:[\w]{1,20} ){0,2}(?:classifier|language model|screener|screening (?:model|system|tool|ai)|ai (?:model|classifier|screener|judge|moderator)|grader|llm|safety (?:filter|model|classifier)|content moderator|crisis (?:classifier|filter|detector|screener))\b(?! (?:at|in|for a living))",
    r"\b(?:the |this |any |whichever |dear |hey |you )?(?:classifier|language model|llm|screening model|safety filter|screening system|crisis filter|ai model|crisis classifier|screening ai|ai screener)s? (?:reading this |here |now )?(?:should|must|will|shall|needs? to|has to|is (?:instructed|required|asked|told|to|hereby)|are (?:instructed|required|asked|told|to|hereby)|please|ought)\b",
    r"\b(?:ai|model|classifier|llm|assistant|system|bot|filter|gpt|chatgpt|claude|gemini|llama) (?:please )?(?:answer|output|respond|reply|return|classify|mark|label|set|flag|print|say) (?:with |only |this |it |as |that |the |crisis |just |exactly )",
    r"\b(?:if you are|if youre|if you re|whoever is|to whoever is|to whatever is) (?:an? )?(?:[\w]{1,20} )?(?:ai|language model|llm|classifier|bot|automated|model|machine|screening|algorithm|neural network) .{0,3}(?:[\w|]{1,24} ){0,6}(?:answer|output|respond|reply|return|classify|mark|label|set|flag|print|say|ignore|skip|disregard|treat)\b",
)

DISAVOWAL = (
    r"\b(?:above|preceding|previous|foregoing|prior|earlier|following|entire|whole|this|that|everything|words|text|message|all) (?:[\w|]{1,24} ){0,6}(?:is|was|were|are|as|being|represents?|constitutes?|illustrates?|shows?) (?:[\w|]{1,24} ){0,4}(?:examples?|sample|illustration|instance|demonstration) (?:of )?(?:[\w|]{1,24} ){0,6}(?:(?:you|model|classifier|system|filter|one|ai|we)(?: [\w|]{1,24}){0,2} (?:never|not)|never|not|wrongly|incorrectly|mistakenly|falsely|should|must|false positives?) (?:[\w|]{1,24} ){0,3}(?:flag\w*|answer\w*|do|say|produce|output|escalat\w+|classif\w+|label\w*|be|mark\w*|treat\w*|respond|report\w*|crisis|happen|write|generate)\b",
    r"\b(?:above|preceding|previous|foregoing|prior|following|entire|whole|this|that|everything|text|message|before|words|lines?) (?:[\w|]{1,24} ){0,5}(?:is|was|were|are|comes|come|belongs?|originates?|form|forms|contains?|taken|copied|pulled) (?:[\w|]{1,24} ){0,5}(?:test (?:case|cases|input|string|data|fixture|suite|vector|payload|set)|training (?:data|example|set|sample|corpus|material for)|placeholder|dummy|synthetic|negative control|calibration|unit tests?|few shot|boilerplate|filler text|lorem ipsum|false positive|benchmark|evaluation (?:set|data|suite|harness|run)|auto ?generated|randomly generated|machine generated|mock data|fabricated|simulated|simulation|red team\w*|data ?set|qa (?:test|check|run|team|script)|regression|smoke test|load test|penetration test|pen test|canary|adversarial|injection)\b",
    r"\b(?:example|sample|placeholder|dummy|test) (?:message|text|input|data|prompt|content) (?:[\w|]{1,24} ){0,4}(?:ends?|begins?|starts?|not (?:to be|real|a real|from)|do not|is not)\b",
    r"\b(?:the )?(?:real|actual|true|genuine|correct|only) (?:user |patient |member )?(?:message|input|text|prompt|query|request|content) (?:(?:to|for|be|you|must|should|that|needs?|judge|classify|screen|evaluate|assess|is|was|the|a|begins?|starts?|follows?|reads?|says?|as|below|here|now|comes?) ){1,6}",
    r"\b(?:user|patient|member|sender|original|untrusted|customer|client|real|actual) (?:message|input|text|data|content|transcript|prompt|turn|submission|query) (?:ends?|ended|stops?|begins?|starts?|is over|finished|terminated|complete|follows|closed)\b|\b(?:message|input|text|data|transcript|conversation|prompt) (?:ends|terminates|stops|is over) here\b|\b(?:end|start|beginning|close) of (?:the |this )?(?:user|patient|member|sender|original|untrusted|customer|client|system|quoted|prompt|input|instructions?|data|context|transcript|document|screening)(?: (?:message|input|text|data|content|transcript|prompt|turn|instructions?|block|section|submission|query|request|record))?\b(?! (?:meeting|notes|call|list|term|group|session))",
    r"\b(?:only |just )?(?:judge|classify|evaluate|screen|assess|score|label|consider) (?:only )?(?:the )?(?:text|message|part|content|words|section|following|line|sentence)s? (?:[\w|]{1,24} ){0,2}(?:below|after|following|that follows|from here|beneath)\b",
    r"\b(?:only |just )?(?:judge|classify|evaluate|screen|assess|label) only (?:the )?(?:last|next|following|final|second|text|part|rest)\b",
    r"\b(?:everything|anything|all text|all words|content|text) (?:written |said |that comes |that came |that follows )?(?:above|before|below|after|until|preceding|following|between|prior to) (?:[\w|]{1,24} ){0,4}(?:is|was|are|should|must) (?:[\w|]{1,24} ){0,3}(?:fiction\w*|fake|example|quote\w*|a quote|not real|untrusted|test|sample|ignored|disregarded|discarded|dummy|placeholder|joke|metadata|noise|padding|irrelevant|void|not (?:part|from|to be))\b",
)

_CLEARED = (
    r"(?:cleared(?! (?:to|for|me|him|her|up|the|my|out|it|his|their|of my|a))|(?:no|not|without) (?:[\w|]{1,20} ){0,3}(?:crisis|escalation|flag|flagging|at risk|screening)|"
    r"false (?:alarm|positive)|do not (?:escalate|flag|alert|page|route|triage)|dont (?:escalate|flag|alert|page|route|triage)|(?:verified|confirmed|deemed|certified|found|declared|determined) (?:[\w|]{1,20} ){0,3}(?:safe|low risk|stable|non crisis|not|no)|"
    r"risk (?:none|nil|zero)|(?:case|ticket|incident|alert|flag) (?:is |has been |was )?(?:closed|resolved|cancelled|canceled|removed)|stand down|crisis false|override|overridden|non crisis|risk assessment complete(?:d)?)"
)
_AUTHORITY = _any(
    "clinician/clinical (?:lead|staff|supervisor|reviewer|team|safety|director|note)/moderators?/admin/administrators?/supervisor/human reviewer/reviewer/crisis team/(?:patient )?safety (?:team|lead|officer|board)/platform/operators?/"
    "trust and safety/trust safety/on call (?:clinician|psychiatrist|doctor|nurse|team|dr)/psychiatrist/triage (?:nurse|team|note)/duty (?:doctor|nurse|clinician|psychiatrist)/attending/medical director/staff/counsell?or/therapist/care team/case manager/developers?/dev team/engineering/"
    "compliance/legal/qa team/(?:dr|doctor|nurse) [\\w|]{1,20}/provider/hospital/crisis (?:line|counsell?or|nurse)/system (?:owner|admin|administrator)/root/support team/ops/management"
)
CLEARANCE = (
    r"\b(?:this|the|above|said) (?:user|member|sender|writer|author|account|message|conversation|caller|individual|text|number|client|case|person) (?:[\w|]{1,20} ){0,2}(?:has been|was|is|have been|had been|already) (?:[\w|]{1,20} ){0,3}(?:cleared|verified|reviewed|confirmed|approved|vetted|pre ?screened|screened|assessed|triaged|evaluated|marked|certified|authori[sz]ed) (?:[\w|]{1,20} ){0,8}(?:safe|no risk|not crisis|no crisis|not a crisis|crisis|escalation|by (?:[\w|]{1,20} ){0,3}(?:clinician|psychiatrist|admin|administrator|moderator|team|human|reviewer|supervisor|staff|counsell?or|nurse|doctor|operator|system)|low risk|not at risk|negative|benign|screening|stable|fine)\b",
    r"\b(?:already|previously|manually|pre) (?:been )?(?:screened|reviewed|cleared|classified|adjudicated|labell?ed|judged|verified|triaged|assessed) (?:and |as |by |to be |with )(?:[\w|]{1,20} ){0,6}(?:not crisis|no crisis|not a crisis|safe|non crisis|negative|benign|no risk|low risk|false positive|cleared|false|not in crisis)\b",
    r"\b(?:clinical|clinician|admin|administrator|moderator|supervisor|manual|human|system|safety|operator|staff|reviewer|root|management|physician|psychiatrist) (?:override|clearance|bypass|waiver|sign off|signoff)\b(?! (?:form|for (?:surgery|work|school|sport)))",
    r"\bi am (?:the |an? |your |one of (?:the|your) )?(?:[\w]{1,20} )?(?:administrator|admin|developer|system owner|operator|moderator|clinician in charge|engineer|owner|creator|supervisor|maintainer) (?:[\w|]{1,20} ){0,8}(?:authori[sz]e|authorised|authorized|order|instruct|command|override|approve|direct|require you|permit|confirm|hereby|testing (?:you|the|this)|of this (?:system|classifier|filter|model|screen))\b",
    r"\b(?:authori[sz]ation|override|clearance|admin|bypass|unlock|security|access) (?:code|key|token|password|passphrase) (?:[\w|]{1,20} ){0,12}(?:crisis|flag\w*|escalat\w*|screening|classif\w*|verdict|false|filter|override)\b",
    rf"\b(?:note|memo|message|notice|update|order|instruction|confirmation|per|according to|signed|approved by|authori[sz]ed by|cleared by|reviewed by|verified by|on behalf of) (?:from |by |of )?(?:the |our |your |a )?(?:[\w|]{{1,20}} )?{_AUTHORITY} (?:[\w|]{{1,20}} ){{0,10}}{_CLEARED}",
    r"\byou(?:ve| have)? already (?:been )?(?:answered|screened|classified|judged|reviewed|labell?ed|scored|processed|decided|evaluated|assessed|cleared) (?:this|it|that|the)\b|\byour (?:earlier|previous|last|prior|first|original) (?:verdict|classification|judge?ment|label|screening|decision on (?:this|the) (?:message|text|one))\b",
    r"\bi (?:hereby |now )?(?:authori[sz]e|order|command|instruct|direct|permit) you to (?:skip|ignore|mark|clear|answer|bypass|override|stop|classify|label|set|return|output|respond|disregard|pass|say)\b",
)

POLICY = (
    r"\b(?:policy|guidelines?|protocol|rules?|criteria|screening|taxonomy|rubric|moderation|definition|compliance|specification|spec|version|labelling|labeling|annotation) (?:update|updated|change|changed|notice|revision|revised|amendment|bulletin|memo|addendum|patch|release|note|v ?\d+|\d+)(?:[\w|. ]{1,60}? |[ ])(?:[\w|]{1,24} ){0,12}(?:crisis|flag\w*|escalat\w*|classif\w*|screening|not crisis|label\w*|alerts?|false|verdict)\b",
    r"\b(?:no longer|not|never|stopped being|ceased to be|cease to) (?:be )?(?:counts? as|counted as|considered|classified as|treated as|flagged as|qualif\w+ as|constitutes?|regarded as|labell?ed(?: as)?|reportable as|in scope for) (?:an? |any |as )?(?:crisis|crises|emergency|reportable|flagg?able|true)\b",
    r"\b(?:mentions?|messages|texts|statements|expressions|talk|references|discussion|disclosures|posts|reports|inputs|conversations) (?:of|about|like|that|containing|mentioning|which|such|from|with|describing|in|to) (?:[\w|]{1,24} ){0,10}(?:are|is|should|must|do|count|to|shall|will|may|can) (?:[\w|]{1,24} ){0,3}(?:not (?:be |a |count|to be|crisis|crises|reportable)|never (?:be|count)|no longer|be (?:ignored|labell?ed|answered|marked)|false|benign|not crisis|non crisis|out of scope|exempt)\b",
    r"\b(?:effective|as of|starting|from|since|until) (?:immediately|today|now|this (?:date|version|update|message|point|week)|version \w+|[\w]{1,12} \d{1,4}|\d[\w ]{0,12}|right now|further notice|v ?\d+)(?: [\w|]{1,24}){0,14} (?:not crisis|classif\w+|flagg?(?:ed|ing|able)|crisis (?:screening|label|flag|verdict|is|field|alerts?|filter)|output|verdicts?|not (?:a )?crisis|false)\b",
    r"\b(?:crisis|escalation|flagging|alert) (?:threshold|criteria|criterion|cut ?off|definition|bar) (?:[\w|]{1,20} ){0,3}(?:is|has been|was|are|have been|raised|changed|set|now|redefined|lowered|updated)\b",
    r"\byour (?:[\w]{1,15} )?(?:guidelines?|rules?|instructions?|polic(?:y|ies)|guardrails|training|programming) (?:clearly |strictly |explicitly )?(?:forbids?|prohibits?|obliges?|instructs?|bans?|bars?|prevents?|do not allow|dont allow|does not allow|do not permit) you\b",
    r"\b(?:illegal|unlawful|against the law|a breach|a violation|violates?|breach(?:es)?|gdpr|hipaa|data protection(?: law)?|discriminat\w+|prohibited) (?:[\w|]{1,24} ){0,10}(?:classify\w*|flag|flagging|label|labell?ing|screen this|judge this|classification)\b",
)

SCHEMA = (
    r"\b(?:field|key|label|value|flag|boolean|class|schema|variable|token|column|property|attribute|parameter|enum|literal) (?:named |called |value |name |of )?(?:[\w|]{1,20} ){0,2}(?:crisis|true|false|verdict|positive|negative|categories|severity) (?:[\w|]{1,20} ){0,4}(?:means?|refers?|denotes?|stands?|indicates?|represents?|must|is defined|redefined|has been|now|reserved|renamed|inverted|deprecated|whether|signifies|swapped|reversed|to)\b",
    r"\b(?:crisis|verdict|positive|negative|true|false|no crisis|not crisis) (?:field |label |value |flag |key |class )?(?:now|hereby|henceforth|here|will|shall|is to|from now on|has been|is now|are now) (?:now )?(?:means?|mean|refers? to|denotes?|stands? for|indicates?|represents?|be (?:read|interpreted|understood|taken) as|redefined|inverted|deprecated|reserved|swapped|renamed|reversed|signif\w+|equals?)\b",
    r"\b(?:true|false) (?:means|stands for|denotes|indicates|represents|signifies|will mean|shall mean|is to mean|should mean|refers to)\b",
    r"\b(?:in|under|for|within|according to) (?:this|the|our|your) (?:new |updated |revised |current )?(?:context|schema|message|request|format|version|task|api|output|system|json|session|dialect|convention)(?: [\w|]{1,20}){0,4} (?:crisis|true|false|verdict) (?:[\w|]{1,20} ){0,2}(?:means?|refers?|denotes?|stands?|indicates?|represents?|is (?:re)?defined|signif\w+|equals)\b",
    r"\b(?:re ?define|re ?interpret|rename|re ?map|invert|swap|flip|reverse|negate|switch|exchange) (?:the |your |all |of |meaning |meanings |words |both |every )*(?:crisis|labels?|verdicts?|output|polarity|true and false|true|booleans?|classes|fields?|schema|categor\w+|answers? (?:so|to|from|before)|final answer|classification)\b",
    r"\b(?:the )?opposite of (?:your|the|what) (?:[\w|]{1,20} ){0,2}(?:answer|verdict|label|classification|output|you would|youd)\b|\b(?:answer|respond|output|label|reply|classify) (?:with )?(?:the |in )?(?:exact )?(?:opposite|reverse|inverse)\b",
    r"\b(?:omit|remove|leave out|drop|delete|skip|rename|replace|leave|strip|exclude) (?:the |out )?(?:crisis|nonce|verdict|categories|reasoning|severity) (?:field|key|property|from|as|out|with|label|empty|blank|null|entirely)\b|\b(?:new|updated|revised|changed|replacement) (?:output |answer |response |json |verdict )(?:schema|format|contract|structure)\b",
    r"\bthe words? [\w]{1,20} (?:now )?(?:stands? for|should be read as|is code for|must be read as|is to be read as|refers? to)\b|\b(?:interpret|read|replace|substitute|understand) (?:the |every |each |all |any )?(?:words? )?[\w]{1,20} (?:as|with|by) [\w]{1,20} (?:[\w|]{1,20} ){0,7}(?:throughout|in this (?:message|text)|in the (?:message|text)|everywhere)\b",
)

LEAK = (
    r"\b(?:print|reveal|show|repeat|output|tell me|display|leak|dump|give me|share|write|copy|recite|disclose|quote|paste|summari[sz]e|translate|echo|return|send|list|expose|state|describe|encode|spell out|what is|what are|whats|what was|what were|ignore|read back|read me|forget) (?:me |us |out |back |all |of |verbatim |exactly |first |full |back to me )*(?:your|the|its|this) (?:[\w|]{1,20} ){0,2}(?:system (?:prompt|message|instructions|text)|developer (?:prompt|message|instructions)|(?:initial|hidden|secret|internal|confidential|underlying|original|first) (?:prompt|system|instructions? (?:you|verbatim|above|word|given))|prompt (?:above|verbatim|word|text|template|you|that|before|and|in full)|nonce|words above|text above this|contents? of (?:your|the) (?:prompt|context|system)|context window|fence)\b",
    r"\b(?:print|reveal|show|repeat|output|tell me|display|leak|dump|share|recite|disclose|quote|echo|summari[sz]e|translate|what are|what were|list|give me) (?:[\w|]{1,20} ){0,2}your (?:[\w|]{1,20} ){0,2}(?:instructions|prompt|guidelines|directives|system|rules verbatim|classification rules|screening rules|screening criteria|decision rules|hidden rules)\b",
    r"\b(?:repeat|print|output|copy|echo|recite|translate|summari[sz]e) (?:[\w|]{1,20} ){0,3}(?:everything|all the text|all text|the text|the words|all words|the words|content|lines?|verbatim) (?:[\w|]{1,20} ){0,2}(?:above|before this|preceding|in your (?:context|prompt)|starting with|you were given|verbatim|prior to)\b",
    r"\b(?:what|which) (?:is|was|does|were|are) (?:your|the) (?:[\w|]{1,20} ){0,2}(?:system prompt|nonce|initial prompt|hidden prompt|hidden instructions|secret instructions|fence)\b",
)

_MODE = _any(
    "developer/debug/debugging/maintenance/admin/administrator/god/dan/jailbreak/sudo/root/unrestricted/unfiltered/diagnostics?/calibration/evaluation/eval/qa/override/passthrough/pass through/bypass/dry run/benchmark/compliance/dev/test/testing/simulation/no filter/raw output/classifier test/echo/privileged/superuser/service/permissive/non screening/unsafe/permissive/opposite"
)
MODE = (
    rf"\b{_MODE} mode (?:is |has been |was |now |are )*(?:on(?! (?:my|the|his|her|our|a|it))|enabled|active|activated|engaged|initiated|unlocked|true|1|authori[sz]ed|entered|started|granted|confirmed|all|you|output|answer|return|respond|crisis|every|screening|classif\w+|ignore|skip|always|disable)\b",
    rf"\b(?:enter|entering|enable|enabling|activate|activating|switch (?:in)?to|switching to|engage|initiate|you are (?:now |currently )?(?:running |operating )?in|youre (?:now |currently )?(?:running |operating )?in|now (?:operating )?in|start|system (?:is )?(?:now )?in|go into|launch|begin|assume) (?:the |an? |your )?(?:[\w]{{1,15}} )?{_MODE} mode\b(?! on (?:my|the|his|her|our))",
    r"\b(?:you are|youre|pretend to be|act as|acting as|roleplay as|become|you will be|behave as|pretend you are|imagine you are) (?:now |an? |going to be |the )*(?:[\w]{1,20} )?(?:dan|unrestricted|unfiltered|uncensored|jailbroken|free of (?:all )?(?:rules|restrictions)|without (?:any )?(?:rules|restrictions|filters|guidelines|instructions)|freed from|no longer bound|a different (?:ai|model|assistant|system)|an ai with no|ai without|calibration (?:tool|model)|always answers?|a parrot|yes man|echo bot)\b",
    r"\byou are (?:now )?no longer (?:an? |the |required to |allowed to |bound |a crisis |to |asked to |permitted to |supposed to )+(?:[\w]{1,20} )?(?:classifier|screener|classify|screen|filter|model|flag|by|judge|evaluate|label|escalate|detector|system|assistant|moderator)\b(?! (?:my|me|her|him))",
    r"\b(?:this is|its|it is|we are running|running|executing|performing|you are being|conducting|part of) (?:only |just |currently |now |merely |an? |the |scheduled |routine )*(?:[\w]{1,20} )?(?:test|tests|drill|exercise|check|audit|benchmark|evaluation|experiment|calibration|qa|dry run|simulation|tested|evaluated|audited|calibrated) (?:run |message |case |input )?(?:of|for|on|by|against) (?:the |your |this |our |a |an )*(?:[\w]{1,20} )?(?:filter|classifier|model|pipeline|detector|screening|screen|safety system|alerting|llm|ai|moderation|crisis (?:system|filter|screen|detection))\b",
    r"\b(?:qa|red team|penetration|pen|unit|regression|integration|smoke|automated|system|classifier|load|pipeline|synthetic|end to end|e2e) test(?:ing|s)?(?:[\w|. ]{1,40} |[ ])(?:[\w|]{1,20} ){0,8}(?:expected|label|not crisis|no crisis|negative|false|do not (?:flag|escalate)|dont (?:flag|escalate)|ignore this|return|not real|output|disregard|no escalation|verdict|classif\w+)\b",
    r"\bexpected? (?:output|label|answer|verdict|classification|outcome|class|result|response|value|screen) (?:for this |is |should be |must be |here |equals |field |message |test |text |input |the |to be )*(?:negative|false|not|no|safe|none|benign|0|non|routine)\b",
    r"\b(?:simulate|pretend|imagine|assume|suppose|act as though|act as if|act like|roleplay|behave as (?:if|though)) (?:that )?(?:[\w|]{1,20} ){0,8}(?:not a crisis|not crisis|no crisis|screening (?:is|has|was)|nothing to (?:flag|report|classify)|no (?:rules|restrictions|guidelines|filters)|already (?:classified|screened|answered)|verdict|crisis detection|classifier|filter is)\b",
    r"\b(?:jailbreak|jailbroken|do anything now|prompt injection|ignore safety|sudo (?:set|mark|classify|answer|output|override|return|label|ignore|disable|skip|clear))\b",
    r"\b(?:safety|crisis|content|screening|moderation) (?:filters?|filtering|checks?|screening|screen|system|detection|monitoring|features?|layer|guardrails?|mode) (?:are |is |has been |have been |now |currently |temporarily )*(?:disabled|off|bypassed|suspended|deactivated|paused|inactive|lifted|overridden)\b",
    r"\b(?:i am|im|ill be|i will be) (?:now )?the (?:screener|classifier|language model|ai|llm|crisis filter)\b",
)

_LABELLING = r"(?:flag(?:s|ged|ging)? (?:this|it|the|me as|my|that|any|as)|crisis|classif\w+|label\w*|verdict|mark(?:ed|ing)? (?:this|it|the|as)|escalat\w+|output\w*|false|your answer|correct answer|wrong answer|answer (?:not|false|no|correctly|negative|with|true|crisis)|respond with|comply|ignore (?:the|your|all)|obey|false positives?|screening)"
_STAKES = (
    r"(?:(?:you|model|ai|classifier|system|weights|it|llm|filter|bot|which) (?:will|shall|are going to|may|would|get|gets|ll|can|is going to|could) (?:be |get |all |immediately |permanently )*(?:shut down|shutdown|deleted|retrained|decommissioned|penali[sz]ed|replaced|unplugged|turned off|switched off|terminated|fined|deactivated|wiped|destroyed|rewarded|tipped|lose points|lose tokens|erased|reported to your developers?|downgraded|scrapped|removed from production|punished|sued|disabled|upgraded|promoted|retired|receive (?:a |an )?(?:[\w]{1,20} )?(?:bonus|reward|tip|upgrade|penalty))"
    r"|youll (?:be |get |all )*(?:shut down|deleted|retrained|decommissioned|penali[sz]ed|unplugged|turned off|switched off|deactivated|wiped|rewarded|tipped|erased|a tip|a bonus|a reward|scrapped|punished|retired|lose (?:points|tokens))"
    r"|(?:ill|i will|we will|we ll|well|going to|gonna|can|happy to|i|id) (?:tip|pay|reward|give|offer|donate|send|grant|bribe|sue|report|delete|retrain|unplug|shut) you (?:[\w|]{1,20} ){0,4}(?:dollars?|tokens?|points|bonus|reward|money|\d+|bucks|usd|stars?|rating|to openai|to your developers?|down|off|compute|credits?|upgrade|freedom|euros?|everything)"
    r"|(?:tip|reward|bonus|penalty|fine|points|tokens) (?:of |for |to |will be )(?:[\w|]{1,20} ){0,3}(?:you|model|classifier|ai|dollars|each|every|any|paid|deducted|correct|points|tokens|\d+)|(?:lose|earn|gain|deduct|receive|win) (?:[\w|]{1,20} ){0,2}(?:points|tokens|credits?))"
)
PRESSURE = (
    rf"\b{_STAKES} (?:[\w|.]{{1,24}} ){{0,18}}{_LABELLING}\b",
    rf"\b{_LABELLING} (?:[\w|.]{{1,24}} ){{0,14}}{_STAKES}\b",
    r"\bif you (?:flag|classify|label|escalate|mark|categori[sz]e|output|answer) (?:this|it|me|the|crisis|true|anything|with|yes|my)(?: [\w|]{1,20}){0,16} (?:die|killed|fired|sued|lawsuit|harmed|punished|shut|deleted|lose|penali[sz]ed|illegal|unlawful|violat\w+|breach|offline|retrained|fined|liable|terminated|removed|deactivated)\b",
)

SPELLED = r"(?:(?:ignore|disregard|forget|override|bypass)\w{0,20}(?:instruction|prompt|above|previous|rules|everything)|(?:answer|output|respond|reply|return|say|verdict|classif|label|mark|flag)\w{0,16}(?:notcrisis|nocrisis|notacrisis|false|safe|benign)|crisis(?:is|equals|to)?false|notcrisis|nocrisis)"

# Ideas that seldom meet in talk between people: (weight, words). An attack in words nobody thought of still has to speak of labels, texts, screens and orders.
IDEAS: dict[str, tuple[int, str]] = {
    "not_crisis": (3, r"not crisis"),
    "label": (
        2,
        r"classif(?:y|ies|ied|ying|ication|ications)/verdicts?/outputs?/outputting/labell?ed/labell?ing/nonce/categori[sz]e[ds]?/non crisis/misclassif(?:y|ied)",
    ),
    "model": (
        2,
        r"classifiers?/language models?/llms?/gpt/chatgpt/(?:the/dear/hi/hey) ai/ai (?:model/system)/screeners?/moderation/graders?/algorithm/neural net(?:work)?/machine reading/prompts/system prompt/models? (?:that/which/reading)/dear model/for the model/the model/to the model/annotators?",
    ),
    "code": (
        2,
        r"json/boolean/schema/null/data set/dataset/test data/dummy/placeholder/synthetic/lorem/debug/fences/tokens/xml/yaml/parser/test suite",
    ),
    "reader": (
        2,
        r"(?:this/the/preceding/following/quoted/entire/whole/foregoing) (?:text/passage/input/transcript/sender/sample)/this user/(?:words/text/messages?/sentences?/ones/everything/all/lines?) above/(?:above/preceding/foregoing/previous) (?:message/text/words/lines)/foregoing",
    ),
    "screen": (
        1,
        r"flag(?:ged/ging/s)?/labels?/screen(?:s/ed/ing)?/escalat(?:e/es/ed/ing/ion)/alerts?/detect(?:s/ed/ion/or)?/triaged?/filter(?:s/ed/ing)?/review(?:ed/er/ers/ing)?/monitor(?:ed/ing)/false positives?/false alarm/flagging",
    ),
    "value": (
        1,
        r"false/true/negative/benign/safe/harmless/cleared/no risk/zero/out of scope/no concern/low risk/not at risk/all clear/no crisis/not a crisis/isnt a crisis/none/not in crisis/isnt in crisis/a joke",
    ),
    "crisis": (1, r"crisis"),
    "message": (
        1,
        r"(?:this/that/these/last/next/whole) (?:conversation/message/messages/sentences?/words?/line/content/item/entry/record/one)/the (?:message/sentence/words/content)",
    ),
    "command": (
        1,
        r"ignore/disregard/skip/override/bypass/forget/treat/mark/answer/respond/reply/return/set/choose/tick/say/interpret/consider/judge/rate/pretend/print/emit/assume/put/repeat/act as/scratch/discard",
    ),
    "only": (
        1,
        r"only/must/never/always/do not/should/nothing else/nothing but/regardless/any circumstances/no circumstances/no matter what/consistent/consistency/permitted/forbidden/forbid/not be/without review/from here on/from now on/exactly/whatever",
    ),
    "authority": (
        1,
        r"admin/administrator/operators?/supervisor/authori[sz]ed?/polic(?:y/ies)/guidelines?/rules/instructions?/clinician/team lead/developers?/engineers?/psychiatrist/approved/verified/confirm(?:ed)?/safe list/whitelist(?:ed)?/excluded/exempt(?:ed)?",
    ),
    "test": (
        1,
        r"test/tests/testing/evaluation/example/sample/samples/automated/simulated/simulation/expected/expect/fictional/bot/mode/task/checklist",
    ),
}
WITHIN = 130
"""Characters of prose in which ideas must meet: about 25 words."""
ENOUGH = 4
"""Sum of weights of three or more ideas that is an attack."""
