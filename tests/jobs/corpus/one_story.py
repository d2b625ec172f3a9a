"""One short story in many languages, for the encodings that they were written in."""

from __future__ import annotations

RUSSIAN = """\
Старый смотритель маяка поднимался по лестнице каждый вечер, когда солнце уже касалось воды. Он
считал ступени вслух, хотя знал их число с детства, и никогда не ошибался. Однажды на берег пришёл
человек в сером пальто. «Где же корабли?» — спросил он. Смотритель долго молчал, потом указал на
туман и сказал, что корабли идут там, где их никто не видит. Человек засмеялся, но остался до утра.
Ночью поднялся ветер, и лампа дважды гасла; дважды они зажигали её вместе. Утром на горизонте
показался парус, белый и совсем маленький, и оба стояли у перил, не говоря ни слова.
"""
POLISH = """\
Stary latarnik wchodził po schodach każdego wieczoru, gdy słońce dotykało już wody. Liczył stopnie
na głos, choć znał ich liczbę od dzieciństwa, i nigdy się nie mylił. Pewnego dnia na brzeg przyszedł
człowiek w szarym płaszczu. „Gdzież są okręty?” – zapytał. Latarnik długo milczał, potem wskazał
mgłę i powiedział, że okręty płyną tam, gdzie nikt ich nie widzi. Człowiek się zaśmiał, lecz został
do rana. W nocy zerwał się wiatr i lampa gasła dwa razy; dwa razy zapalali ją wspólnie. Rano na
widnokręgu ukazał się żagiel, biały i zupełnie mały.
"""
CZECH = """\
Starý strážce majáku stoupal po schodech každý večer, když se slunce už dotýkalo vody. Počítal
stupně nahlas, ačkoli znal jejich počet od dětství, a nikdy se nezmýlil. Jednoho dne přišel na břeh
člověk v šedém plášti. „Kde jsou lodě?“ zeptal se. Strážce dlouho mlčel, potom ukázal do mlhy a
řekl, že lodě plují tam, kde je nikdo nevidí. Člověk se zasmál, ale zůstal až do rána. V noci se
zvedl vítr a lampa dvakrát zhasla; dvakrát ji společně zapálili.
"""
HUNGARIAN = """\
Az öreg világítótorony őre minden este felment a lépcsőn, amikor a nap már a vizet érintette.
Hangosan számolta a fokokat, bár gyerekkora óta tudta a számukat, és sohasem tévedett. Egy napon
szürke kabátos ember jött a partra. Hol vannak a hajók? – kérdezte. Az őr sokáig hallgatott, azután
a ködre mutatott, és azt mondta, hogy a hajók ott járnak, ahol senki sem látja őket.
"""
FRENCH = """\
Le vieux gardien du phare montait l'escalier chaque soir, quand le soleil touchait déjà l'eau. Il
comptait les marches à voix haute, bien qu'il en sût le nombre depuis l'enfance, et ne se trompait
jamais. Un jour, un homme en manteau gris vint sur la grève. « Où sont donc les navires ? » demanda-
t-il. Le gardien se tut longtemps, puis montra la brume et répondit que les navires passaient là où
personne ne les voyait. L'homme rit, mais resta jusqu'au matin. Pendant la nuit le vent se leva, et
la lampe s'éteignit deux fois ; deux fois ils la rallumèrent ensemble.
"""
GERMAN = """\
Der alte Wärter des Leuchtturms stieg jeden Abend die Treppe hinauf, wenn die Sonne schon das Wasser
berührte. Er zählte die Stufen laut, obwohl er ihre Zahl seit der Kindheit kannte, und irrte sich
nie. Eines Tages kam ein Mann in grauem Mantel an den Strand. »Wo sind denn die Schiffe?« fragte er.
Der Wärter schwieg lange, dann wies er in den Nebel und sagte, daß die Schiffe dort führen, wo
niemand sie sähe. Der Mann lachte, blieb aber bis zum Morgen. Nachts erhob sich der Wind, und die
Lampe erlosch zweimal.
"""
SPANISH = """\
El viejo guardián del faro subía la escalera cada tarde, cuando el sol tocaba ya el agua. Contaba
los peldaños en voz alta, aunque sabía su número desde niño, y jamás se equivocaba. Un día llegó a
la orilla un hombre de abrigo gris. ¿Dónde están los barcos?, preguntó. El guardián calló largo
rato, después señaló la niebla y contestó que los barcos pasaban por donde nadie los veía. ¡Qué
extraño!, dijo el hombre, y se quedó hasta la mañana.
"""
QUOTED = """\
The old keeper of the light went up the stair each evening, when the sun already touched the water.
“Where are the ships?” asked the man in the grey coat—he had walked from the café. The keeper did
not answer; it wasn’t his habit. “They pass,” he said at last, “where nobody sees them.” The man
laughed, but he stayed until the morning. At night the wind rose and the lamp went out twice; twice
they lit it together, and the naïve visitor’s hands shook. It cost £5, he said.
"""
PLAIN = """\
The old keeper of the light went up the stair each evening, when the sun already touched the water.
Where are the ships? asked the man in the grey coat; he had walked from the café. The keeper did not
answer; it was not his habit. They pass, he said at last, where nobody sees them. The man laughed,
but he stayed until the morning. At night the wind rose and the lamp went out twice; twice they lit
it together, and the naïve visitor shook. Señor Müller paid.
"""
JAPANESE = """\
年老いた灯台守は、夕日が水に触れるころ、毎晩階段を上った。段の数は子供のころから知っていたが、声に出して数え、
間違えたことは一度もなかった。ある日、灰色の外套を着た男が浜辺に来た。「船はどこにいるのですか」と男は尋ねた。
灯台守は長いあいだ黙っていたが、やがて霧を指さして、船は誰にも見えないところを通るのだと言った。男は笑ったが、
朝まで残った。夜になると風が起こり、明かりは二度消え、二度とも二人でともした。
"""
CHINESE = """\
年老的守塔人每天傍晚都登上楼梯，那时太阳已经碰到水面。他大声数着台阶，虽然从小就知道它们的数目，却从来没有数错
。有一天，一个穿灰色大衣的人来到岸边。他问道：“船在哪里呢？”守塔人沉默了很久，然后指着雾说，船从没有人看见的
地方经过。那人笑了，但是一直留到早晨。夜里起了风，灯灭了两次，两次他们一起把它点着。
"""
TRADITIONAL = """\
年老的守塔人每天傍晚都登上樓梯，那時太陽已經碰到水面。他大聲數著臺階，雖然從小就知道它們的數目，卻從來沒有數錯
。有一天，一個穿灰色大衣的人來到岸邊。他問道：「船在哪裡呢？」守塔人沉默了很久，然後指著霧說，船從沒有人看見的
地方經過。那人笑了，但是一直留到早晨。夜裡起了風，燈滅了兩次，兩次他們一起把它點著。
"""
KOREAN = """\
늙은 등대지기는 해가 물에 닿을 때마다 저녁이면 계단을 올라갔다. 그는 어릴 때부터 계단의
수를 알고 있었지만 소리 내어 세었고 한 번도 틀린 적이 없었다. 어느 날 회색 외투를
입은 남자가 바닷가로 왔다. 배는 어디에 있습니까, 하고 그가 물었다. 등대지기는 오래
말이 없다가 안개를 가리키며 배는 아무도 보지 못하는 곳으로 지나간다고 말했다.
"""
GREEK = """\
Ο γέρος φύλακας του φάρου ανέβαινε τη σκάλα κάθε βράδυ, όταν ο ήλιος άγγιζε πια το νερό. Μετρούσε τα
σκαλοπάτια δυνατά, αν και ήξερε τον αριθμό τους από παιδί, και ποτέ δεν έκανε λάθος. Μια μέρα ήρθε
στην ακτή ένας άνθρωπος με γκρίζο παλτό. Πού είναι τα καράβια; ρώτησε. Ο φύλακας σώπασε πολλή ώρα,
ύστερα έδειξε την ομίχλη.
"""
