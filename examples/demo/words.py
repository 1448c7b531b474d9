"""The demo's vocabulary: a few words and sentence patterns in fourteen languages.

Each line of a language gives its words in the order of SHAPES, COLOURS, SIZES, PLACES or BACKGROUNDS,
separated by commas. `étoile:f` is a noun and its gender; `vert|verte` is a word that agrees with the
noun, one form per gender, in the order of `genders`. `-` says: no word here, so leave out every
pattern that needs one.

A pattern that ends in a full stop is a sentence and begins with a capital. Adjectives stand in the case
that the patterns need (German `auf weißem Hintergrund`); the patterns keep nouns in their basic form.
"""

SHAPES = "circle square triangle star heart moon tree house".split()
COLOURS = "red orange yellow green blue purple black brown".split()
SIZES = "small large".split()
PLACES = "left right middle top bottom".split()
BACKGROUNDS = "white grey pink".split()


class Language:
    """The words of one language, and the captions that they make."""

    def __init__(self, shapes, colours, sizes, places, backgrounds, phrase, patterns, gallery,
                 article="", genders="m"):
        self.genders = genders
        self.nouns = dict(zip(SHAPES, shapes.split(", "), strict=True))
        self.colours = dict(zip(COLOURS, colours.split(", "), strict=True))
        self.sizes = dict(zip(SIZES, sizes.split(", "), strict=True))
        self.places = dict(zip(PLACES, places.split(", "), strict=True))
        self.backgrounds = dict(zip(BACKGROUNDS, backgrounds.split(", "), strict=True))
        self.article = article
        self.phrase = phrase        # "red circle": a title, a class name
        self.patterns = patterns
        self.gallery = gallery      # a heading for lists of pictures

    def captions(self, picture):
        """Every caption that this language has for a picture (a dict with shape, colour, size, ...)."""
        return [text for pattern in self.patterns if (text := self.fill(pattern, picture))]

    def name(self, shape, colour):
        """`red circle` in this language; None where it has no word for the shape."""
        return self.fill(self.phrase, {"shape": shape, "colour": colour})

    def noun(self, shape):
        """The bare noun, or None."""
        noun = self.nouns[shape].split(":")[0]
        return None if noun == "-" else noun

    def forms(self, colour):
        """All forms of a colour word, the basic one first."""
        return self.colours[colour].split("|")

    def fill(self, pattern, picture):
        gender = self.nouns[picture["shape"]].partition(":")[2] or self.genders[0]
        words = {
            "shape": self.noun(picture["shape"]),
            "colour": self.agree(self.colours[picture["colour"]], gender),
            "article": self.agree(self.article, gender),
            "size": self.agree(self.sizes.get(picture.get("size"), "-"), gender),
            "place": self.places.get(picture.get("place"), "-"),
            "background": self.backgrounds.get(picture.get("background"), "-"),
        }
        if any("{" + key + "}" in pattern and word in (None, "-") for key, word in words.items()):
            return None
        text = pattern.format(**words)
        return text[0].upper() + text[1:] if text.endswith(".") else text

    def agree(self, word, gender):
        forms = word.split("|")
        return forms[0] if len(forms) == 1 else forms[self.genders.index(gender)]


LANGUAGES = {
    "en": Language(
        shapes="circle, square, triangle, star, heart, moon, tree, house",
        colours="red, orange, yellow, green, blue, purple, black, brown",
        sizes="small, large",
        places="on the left, on the right, in the middle, at the top, at the bottom",
        backgrounds="white, grey, pink",
        phrase="{colour} {shape}",
        patterns=[
            "a {size} {colour} {shape} on a {background} background",
            "{colour} {shape} {place} of the picture.",
            "this drawing shows a {size} {colour} {shape} {place}.",
            "simple picture of a {size} {colour} {shape} with a {background} background",
            "what you can see here is a {size} {colour} {shape} {place}.",
        ],
        gallery="Gallery of pictures",
    ),
    "fr": Language(
        genders="mf", article="un|une",
        shapes="cercle:m, carré:m, triangle:m, étoile:f, cœur:m, lune:f, arbre:m, maison:f",
        colours="rouge, orange, jaune, vert|verte, bleu|bleue, violet|violette, noir|noire, marron",
        sizes="petit|petite, grand|grande",
        places="à gauche, à droite, au centre, en haut, en bas",
        backgrounds="blanc, gris, rose",
        phrase="{shape} {colour}",
        patterns=[
            "{article} {size} {shape} {colour} sur fond {background}",
            "{shape} {colour} {place} de l'image.",
            "ce dessin montre {article} {size} {shape} {colour} {place}.",
            "image d'{article} {size} {shape} {colour} sur fond {background}",
            "on voit {place} de l'image {article} {size} {shape} {colour}.",
        ],
        gallery="Galerie des images",
    ),
    "es": Language(
        genders="mf", article="un|una",
        shapes="círculo:m, cuadrado:m, triángulo:m, estrella:f, corazón:m, luna:f, árbol:m, casa:f",
        colours="rojo|roja, naranja, amarillo|amarilla, verde, azul, morado|morada, negro|negra, marrón",
        sizes="pequeño|pequeña, grande",
        places="a la izquierda, a la derecha, en el centro, en la parte superior, en la parte inferior",
        backgrounds="blanco, gris, rosa",
        phrase="{shape} {colour}",
        patterns=[
            "{article} {shape} {colour} y {size} sobre un fondo {background}",
            "{shape} {colour} {place} de la imagen.",
            "este dibujo muestra {article} {shape} {colour} {place}.",
            "imagen de {article} {shape} {colour} {size} con el fondo {background}",
            "en el dibujo se ve {article} {shape} {colour} {size} {place}.",
        ],
        gallery="Galería de imágenes",
    ),
    "pt": Language(
        genders="mf", article="um|uma",
        shapes="círculo:m, quadrado:m, triângulo:m, estrela:f, coração:m, lua:f, árvore:f, casa:f",
        colours="vermelho|vermelha, laranja, amarelo|amarela, verde, azul, roxo|roxa, preto|preta, marrom",
        sizes="pequeno|pequena, grande",
        places="à esquerda, à direita, no centro, na parte de cima, na parte de baixo",
        backgrounds="branco, cinza, rosa",
        phrase="{shape} {colour}",
        patterns=[
            "{article} {shape} {colour} e {size} sobre um fundo {background}",
            "{shape} {colour} {place} da imagem.",
            "este desenho mostra {article} {shape} {colour} {place}.",
            "imagem de {article} {shape} {colour} {size} com o fundo {background}",
            "no desenho há {article} {shape} {colour} {size} {place}.",
        ],
        gallery="Galeria de imagens",
    ),
    "de": Language(
        genders="mn", article="ein",
        shapes="Kreis:m, Quadrat:n, Dreieck:n, Stern:m, Herz:n, Mond:m, Baum:m, Haus:n",
        colours="roter|rotes, orangefarbener|orangefarbenes, gelber|gelbes, grüner|grünes, blauer|blaues, "
                "violetter|violettes, schwarzer|schwarzes, brauner|braunes",
        sizes="kleiner|kleines, großer|großes",
        places="links, rechts, in der Mitte, oben, unten",
        backgrounds="weißem, grauem, rosafarbenem",
        phrase="{colour} {shape}",
        patterns=[
            "{article} {size} {colour} {shape} auf {background} Hintergrund",
            "{colour} {shape}, {place} im Bild zu sehen.",
            "auf dem Bild ist {place} {article} {size} {colour} {shape} zu sehen.",
            "eine Zeichnung: {article} {size} {colour} {shape} vor {background} Hintergrund",
        ],
        gallery="Galerie der Bilder",
    ),
    "ru": Language(
        genders="mfn",
        shapes="круг:m, квадрат:m, треугольник:m, звезда:f, сердце:n, луна:f, дерево:n, дом:m",
        colours="красный|красная|красное, оранжевый|оранжевая|оранжевое, жёлтый|жёлтая|жёлтое, "
                "зелёный|зелёная|зелёное, синий|синяя|синее, фиолетовый|фиолетовая|фиолетовое, "
                "чёрный|чёрная|чёрное, коричневый|коричневая|коричневое",
        sizes="маленький|маленькая|маленькое, большой|большая|большое",
        places="слева, справа, в центре, вверху, внизу",
        backgrounds="белом, сером, розовом",
        phrase="{colour} {shape}",
        patterns=[
            "{size} {colour} {shape} на {background} фоне",
            "{colour} {shape} {place} на рисунке.",
            "на этой картинке {place} {size} {colour} {shape}.",
            "простой рисунок: {size} {colour} {shape} на {background} фоне",
        ],
        gallery="Галерея картинок",
    ),
    "ar": Language(
        genders="mf",
        shapes="دائرة:f, مربع:m, مثلث:m, نجمة:f, قلب:m, قمر:m, شجرة:f, بيت:m",
        colours="أحمر|حمراء, برتقالي|برتقالية, أصفر|صفراء, أخضر|خضراء, أزرق|زرقاء, بنفسجي|بنفسجية, "
                "أسود|سوداء, بني|بنية",
        sizes="صغير|صغيرة, كبير|كبيرة",
        places="على يسار, على يمين, في وسط, في أعلى, في أسفل",
        backgrounds="بيضاء, رمادية, وردية",
        phrase="{shape} {colour}",
        patterns=[
            "{shape} {colour} {size} على خلفية {background}",
            "{shape} {colour} {place} الصورة.",
            "في هذا الرسم {shape} {colour} {size} {place} الصورة.",
            "صورة {shape} {colour} {size} على خلفية {background}",
        ],
        gallery="معرض الصور",
    ),
    "hi": Language(
        shapes="वृत्त, वर्ग, त्रिभुज, तारा, दिल, चाँद, पेड़, घर",        # all masculine, as the adjectives are
        colours="लाल, नारंगी, पीला, हरा, नीला, बैंगनी, काला, भूरा",
        sizes="छोटा, बड़ा",
        places="बाईं ओर, दाईं ओर, बीच में, ऊपर, नीचे",
        backgrounds="सफ़ेद, धूसर, गुलाबी",
        phrase="{colour} {shape}",
        patterns=[
            "{background} पृष्ठभूमि पर एक {size} {colour} {shape}",
            "चित्र में {place} एक {size} {colour} {shape} है।",
            "यह {background} पृष्ठभूमि पर बना एक {size} {colour} {shape} है।",
            "{colour} {shape}, चित्र में {place}",
        ],
        gallery="चित्रों की सूची",
    ),
    "ko": Language(             # particles would join the noun; the patterns leave it bare, between spaces
        shapes="원, 정사각형, 삼각형, 별, 하트, 달, 나무, 집",
        colours="빨간, 주황색, 노란, 초록색, 파란, 보라색, 검은, 갈색",
        sizes="작은, 큰",
        places="왼쪽에, 오른쪽에, 가운데에, 위쪽에, 아래쪽에",
        backgrounds="하얀, 회색, 분홍색",
        phrase="{colour} {shape}",
        patterns=[
            "{background} 배경에 있는 {size} {colour} {shape}",
            "그림 {place} 있는 {size} {colour} {shape}",
            "{size} {colour} {shape} 그림, {background} 배경",
            "이것은 {place} 그려진 {size} {colour} {shape} 그림입니다.",
        ],
        gallery="그림 모음",
    ),
    "tr": Language(
        shapes="daire, kare, üçgen, yıldız, kalp, ay, ağaç, ev",
        colours="kırmızı, turuncu, sarı, yeşil, mavi, mor, siyah, kahverengi",
        sizes="küçük, büyük",
        places="solunda, sağında, ortasında, üst kısmında, alt kısmında",
        backgrounds="beyaz, gri, pembe",
        phrase="{colour} {shape}",
        patterns=[
            "{background} arka plan üzerinde {size} {colour} bir {shape}",
            "resmin {place} {size} {colour} bir {shape} var.",
            "{background} arka planlı resimde {colour} {shape}",
            "bu çizimde {background} arka plan üzerinde {size} {colour} bir {shape} görülüyor.",
        ],
        gallery="Resim galerisi",
    ),
    "zh": Language(             # nouns come with their measure word, which is written like a gender
        genders="个颗轮棵座", article="一个|一颗|一轮|一棵|一座",
        shapes="圆形:个, 正方形:个, 三角形:个, 星星:颗, 爱心:颗, 月亮:轮, 树:棵, 房子:座",
        colours="红色, 橙色, 黄色, 绿色, 蓝色, 紫色, 黑色, 棕色",
        sizes="小, 大",
        places="左边, 右边, 中间, 上方, 下方",
        backgrounds="白色, 灰色, 粉色",
        phrase="{colour}{shape}",
        patterns=[
            "{background}背景上有{article}{colour}的{size}{shape}",
            "{colour}的{size}{shape}，位于图片的{place}",
            "这张图片的{place}画着{article}{colour}的{size}{shape}。",
            "{colour}{shape}的图片，背景是{background}的",
        ],
        gallery="图片列表",
    ),
    "ja": Language(             # kana words (ハート) match only between spaces, as the recipe was published
        shapes="円, 正方形, 三角形, 星, ハート, 月, 木, 家",
        colours="赤い, オレンジ色の, 黄色い, 緑色の, 青い, 紫色の, 黒い, 茶色の",
        sizes="小さな, 大きな",
        places="左側, 右側, 中央, 上側, 下側",
        backgrounds="白い, 灰色の, ピンク色の",
        phrase="{colour}{shape}",
        patterns=[
            "{background}背景に{size}{colour}{shape}が描かれている画像",
            "画像の{place}に{size}{colour}{shape}があります。",
            "{size}{colour}{shape}の絵、{background}背景",
            "これは{background}背景に描かれた{size}{colour}{shape}です。",
        ],
        gallery="画像の一覧",
    ),
    "th": Language(
        shapes="วงกลม, สี่เหลี่ยมจัตุรัส, สามเหลี่ยม, ดาว, หัวใจ, พระจันทร์, ต้นไม้, บ้าน",
        colours="สีแดง, สีส้ม, สีเหลือง, สีเขียว, สีน้ำเงิน, สีม่วง, สีดำ, สีน้ำตาล",
        sizes="เล็ก, ใหญ่",
        places="อยู่ทางซ้าย, อยู่ทางขวา, อยู่ตรงกลาง, อยู่ด้านบน, อยู่ด้านล่าง",
        backgrounds="สีขาว, สีเทา, สีชมพู",
        phrase="{shape}{colour}",
        patterns=[
            "{shape}{colour}ขนาด{size}บนพื้นหลัง{background}",
            "ภาพ{shape}{colour}ขนาด{size}{place}",
            "ในรูปนี้มี{shape}{colour}ขนาด{size}{place}",
            "ภาพวาด{shape}{colour} พื้นหลัง{background}",
        ],
        gallery="รายการภาพ",
    ),
    # Cherokee stands for the many languages that no label of lid.176 reaches: they share the metadata
    # of `other`. It is kept very simple here (colour, noun; hia "this", ale "and"). The words were also
    # chosen so that the model knows none of their n-grams, in capital or (Unicode 8) small Cherokee letters.
    "chr": Language(
        shapes="ᎦᏐᏆᎸ, ᏅᎩ ᏧᏅᏏᏴ, ᏦᎢ ᏧᏅᏏᏴ, ᏃᏈᏏ, ᎤᎾᏫ, ᏅᏙ, ᏡᎬᎢ, ᎦᎵᏦᏕ",
        colours="ᎩᎦᎨᎢ, ᎠᏓᎶᏂᎨᎢ, ᏓᎶᏂᎨᎢ, ᎢᏤᎢ, ᏌᎪᏂᎨᎢ, ᎩᎦᎨᏍᏗ, ᎬᎿᎨᎢ, ᎤᏬᏗᎨᎢ",
        sizes="ᎤᏍᏗ, ᎤᏔᏅ",
        places="-, -, -, -, -",
        backgrounds="-, -, -",
        phrase="{colour} {shape}",
        patterns=[
            "ᎯᎠ {colour}",
            "{colour} ᎠᎴ {size}",
            "{colour} {shape}",
            "ᎯᎠ {size} {colour} {shape}",
        ],
        gallery="ᏣᎳᎩ",
    ),
}
