"""Headers and footers of Project Gutenberg files as they looked through the years, around one short story.

The fixed phrases (markers, field names, first words of credits) are as the files have them; everything around them
is abridged and reworded. `FORMS` maps a name to the full text of a file whose book is `BODY`.
"""

from __future__ import annotations

BODY = """\
THE HARBOUR CLOCK


Chapter I

The clock above the harbour office had been wrong for so long that the
fishermen had learned to subtract. When it struck nine, they said, it was
twenty to eight, and nobody thought the worse of it.

Mr. Aldous Penhale, who wound it every Monday, had been asked to put it
right. "I could," he used to answer, "but then you would all be late."

The end of the matter came in the spring. A stranger stepped off the
packet boat, looked up, looked at his own watch, and laughed.


Chapter II

He had, it turned out, a licence to sell watches. He produced it by the
fire, and special thanks were due, he said, to the owner of the clock;
there was no place on the coast where he had sold so many.

So the clock was left as it was, and the watches were all set by it. On
certain evenings, when the wind is in the north, you may hear it still:
nine strokes, and a whole town subtracting.

THE END
"""

PARAGRAPHS_OF_LICENCE = """\
Updated editions will replace the previous one; the old editions will be
renamed, as Project Gutenberg always does.

*** START: FULL LICENSE ***

THE FULL PROJECT GUTENBERG LICENSE
PLEASE READ THIS BEFORE YOU DISTRIBUTE OR USE THIS WORK

Section 1.  General Terms of Use and Redistributing Project Gutenberg-tm
electronic works

1.A.  By using any part of this Project Gutenberg-tm electronic work you
say that you agree to the Project Gutenberg-tm License.

1.B.  "Project Gutenberg" is a registered trademark of the Project
Gutenberg Literary Archive Foundation.

Section 5.  About Project Gutenberg-tm electronic works.

Most people start at our Web site: http://www.gutenberg.org
"""

SMALL_PRINT = """\
**The Legal Small Print**

(Three Pages)

***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
Why is this "Small Print!" statement here? You know: lawyers. They say
you might sue us if there is something wrong with your copy of this etext.

ABOUT PROJECT GUTENBERG-TM ETEXTS
This PROJECT GUTENBERG-tm etext is a "public domain" work.

LIMITED WARRANTY; DISCLAIMER OF DAMAGES
The Project disclaims all liability for this etext.

WHAT IF YOU *WANT* TO SEND MONEY EVEN IF YOU DON'T HAVE TO?
Money should be paid to the Project Gutenberg Association.

"""

_TERMS = """\
This eBook is for the use of anyone anywhere at no cost. You may copy it
under the terms of the Project Gutenberg License included with this eBook
or online at www.gutenberg.org


Title: The Harbour Clock

Author: Jane Tregear

Release Date: May 3, 2004 [EBook #4321]

Language: English

Character set encoding: ASCII

"""

_NINETIES = """\
**The Project Gutenberg Etext of The Harbour Clock, by Jane Tregear**
#3 in our series by Jane Tregear


Copyright laws are changing all over the world, be sure to check the laws
for your country before redistributing these files!!!

Please take a look at the important information in this header. We
encourage you to keep this file on your own disk. Do not remove this.

**Welcome To The World of Free Plain Vanilla Electronic Texts**

**Etexts Readable By Both Humans and By Computers, Since 1971**

*These Etexts Prepared By Hundreds of Volunteers and Donations*


The Harbour Clock

by Jane Tregear

May, 1994  [Etext #4321]


The Project Gutenberg Etext of The Harbour Clock, by Jane Tregear
*****This file should be named hclck10.txt or hclck10.zip******

Corrected EDITIONS of our etexts get a new NUMBER, hclck11.txt.

We produce about two million dollars for each hour we work. Project
Gutenberg etexts cost fifty hours each.

"""

FORMS: dict[str, str] = {
    "2024, ebook in small letters, credits in the header": (
        "\ufeffThe Project Gutenberg eBook of The Harbour Clock\n    \n"
        + _TERMS.replace(
            "Release Date: May 3, 2004 [EBook #4321]",
            "Release date: May 3, 2004 [eBook #4321]\n                Most recently updated: July 2, 2023",
        ).replace(
            "Character set encoding: ASCII",
            "Original publication: Truro: Bright & Sons, 1899\n\nCredits: Anna Volunteer and the team",
        )
        + "\n*** START OF THE PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n\n\n\n"
        + BODY
        + "\n\n\n*** END OF THE PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n\n    \n"
        + PARAGRAPHS_OF_LICENCE
    ),
    "2008, this, produced by": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "*** START OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n\n\n\n"
        "Produced by Anna Volunteer and the Online Distributed\nProofreading Team at http://www.pgdp.net\n"
        "(This file was produced from images generously made available by The\nInternet Archive)\n\n\n\n\n\n"
        + BODY
        + "\n\n\n\n\nEnd of Project Gutenberg's The Harbour Clock, by Jane Tregear\n\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n"
        "***** This file should be named 4321.txt or 4321.zip *****\n"
        "This and all associated files of various formats will be found in:\n        http://www.gutenberg.org/4/3/2/4321/\n\n"
        + PARAGRAPHS_OF_LICENCE
    ),
    "2006, no spaces, e-text prepared by, HTML note, transcriber's note": (
        "The Project Gutenberg eBook, The Harbour Clock, by Jane Tregear\n\n\n"
        + _TERMS
        + "***START OF THE PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK***\n\n\n"
        "E-text prepared by Anna Volunteer, Ben Helper, and the Project Gutenberg\nOnline Distributed Proofreading Team"
        " (https://www.pgdp.net)\n\n\n\n"
        "Note: Project Gutenberg also has an HTML version of this\n"
        "      file which includes the original illustrations.\n"
        "      See 4321-h.htm or 4321-h.zip:\n      (https://www.gutenberg.org/dirs/4/3/2/4321/4321-h.zip)\n\n\n"
        "      Images of the original pages are available through\n      Internet Archive. See\n"
        "      https://archive.org/details/harbourclock\n\n\n"
        "Transcriber's note:\n\n      Text enclosed by underscores is in italics (_italics_).\n\n"
        "      Two misprints were corrected; they are listed at the end.\n\n\n\n\n\n"
        + BODY
        + "\n\n\n       *       *       *       *       *\n\n\n\n"
        "Transcriber's note:\n\n      The following words were changed:\n\n"
        "      harbor to harbour\n\n      clok to clock\n\n\n\n"
        "***END OF THE PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK***\n\n\n"
        "******* This file should be named 4321.txt or 4321.zip *******\n\n\n" + PARAGRAPHS_OF_LICENCE
    ),
    "a marker over two lines": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "*** START OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK, OR HOW A\n"
        "WHOLE TOWN LEARNED TO SUBTRACT ***\n\n\n"
        "Produced by Anna Volunteer.  HTML version by Ben Helper.\n\n\n"
        + BODY
        + "\n\nEnd of the Project Gutenberg EBook of The Harbour Clock, or How a Whole\n"
        "Town Learned to Subtract, by J. Tregear\n\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK, OR HOW A\nWHOLE TOWN LEARNED TO SUBTRACT ***\n\n"
        + PARAGRAPHS_OF_LICENCE
    ),
    "1994, small print in the header": (
        _NINETIES
        + SMALL_PRINT
        + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n\n\n\n"
        + BODY
        + "\n\n\n\n\nEnd of The Project Gutenberg Etext of The Harbour Clock, by Jane Tregear\n"
    ),
    "1999, second title line and scanner's line after the small print": (
        _NINETIES + SMALL_PRINT + "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.12.12.99*END*\n\n\n\n\n"
        "The Project Gutenberg Etext of The Harbour Clock, by Jane Tregear\n"
        "*****This file should be named hclck10.txt***\n\n\n"
        "This etext was prepared by Anna Volunteer, anna@example.net,\nfrom the 1899 edition.\n\n\n"
        + BODY
        + "\n\nEnd of the Project Gutenberg Etext of The Harbour Clock, by Tregear\n\n"
    ),
    "copyrighted small print": (
        _NINETIES + "*SMALL PRINT! Ver.03.17.97 FOR COPYRIGHT PROTECTED ETEXTS*\n\n"
        "TITLE AND COPYRIGHT NOTICE:\n\nThe Harbour Clock, an etext in the Project Gutenberg collection\n\n"
        "This etext is distributed by the Project Gutenberg Association.\n\n"
        "*SMALL PRINT! Ver.03.17.97 FOR COPYRIGHT PROTECTED ETEXTS*END*\n\n\n\n"
        + BODY
        + "\n\n\nEnd of this Project Gutenberg Etext of The Harbour Clock\n"
    ),
    "1991, small print behind the book": (
        "\n\nThe Project Gutenberg Etext of The Harbour Clock\n\n\n\n"
        "*This is a Project Gutenberg Etext, released in March, 1991*\n\n\n\n"
        + BODY
        + "\n\n\n\nThe End of the Project Gutenberg Etext of The Harbour Clock\n\n\n"
        + SMALL_PRINT
        + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.03.08.92*END*\n"
    ),
    "transcribed from an edition": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "***START OF THE PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK***\n\n\n\n\n"
        "Transcribed from the 1899 Bright and Sons edition by Anna Volunteer, email\nanna@example.net\n\n\n\n\n\n"
        + BODY
        + "\n\n\n***END OF THE PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK***\n\n\n"
        + PARAGRAPHS_OF_LICENCE
    ),
    "licence without an end marker": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "*** START OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n\n"
        "Special thanks to Anna Volunteer, who typed the\nwhole of it twice.\n\n\n"
        + BODY
        + "\n\n\n"
        + PARAGRAPHS_OF_LICENCE
    ),
    "file names behind the book, no end marker": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "*** START OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n\n\nProduced by Anna Volunteer\n\n\n\n"
        + BODY
        + "\n\n\n***** This file should be named 4321.txt or 4321.zip *****\n\n"
        "This and all associated files of various formats will be found in:\n        http://www.gutenberg.org/4/3/2/4321/\n\n"
        + PARAGRAPHS_OF_LICENCE
    ),
    "a sister project": (
        "Project Gutenberg Australia\na treasure-trove of literature\n\n\n"
        "Title:      The Harbour Clock\nAuthor:     Jane Tregear\n* A Project Gutenberg of Australia eBook *\n"
        "eBook No.:  0100011.txt\nEdition:    1\nLanguage:   English\n\n"
        "This eBook was produced by: Anna Volunteer\n\n"
        "Project Gutenberg of Australia eBooks are created from printed editions\nwhich are in the public domain.\n\n"
        "To contact Project Gutenberg of Australia go to http://gutenberg.net.au\n\n\n"
        + BODY
        + "\n\nThis site is full of FREE ebooks - Project Gutenberg Australia\n"
    ),
    "German end line": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "*** START OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n\n\nProduced by Anna Volunteer\n\n\n\n"
        + BODY
        + "\n\n\nEnde dieses Project Gutenberg Etextes The Harbour Clock, von Jane Tregear\n"
    ),
    "French end line": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "*** START OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n\n\nProduced by Anna Volunteer\n\n\n\n"
        + BODY
        + "\n\n\nFin de Project Gutenberg's The Harbour Clock, par Jane Tregear\n\n"
        + PARAGRAPHS_OF_LICENCE
    ),
    "end line over two lines": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "*** START OF THE PROJECT GUTENBERG EBOOK, THE HARBOUR CLOCK ***\n\n\n\n"
        "This eBook was produced by Anna Volunteer, who also did the scanning.\n\n\n\n"
        + BODY
        + "\n\n\n\nHere ends the\nProject Gutenberg Etext of The Harbour Clock\n\n\n"
        + PARAGRAPHS_OF_LICENCE
    ),
    "1989, a header without any marker": (
        "This is the Project Gutenberg Etext of The Harbour Clock.\n\n"
        "Project Gutenberg gives away its etexts; please pass this one on.\n\n\n\n"
        + BODY
        + "\n\nThis is the end of the Project Gutenberg Etext of The Harbour Clock.\n"
    ),
    "no asterisks": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "START OF THE PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK\n\n\n\n"
        "HTML version by Ben Helper. Scanned and proofed by Anna Volunteer.\n\n\n\n"
        + BODY
        + "\n\n\nEND OF THE PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK\n\n\n"
        + PARAGRAPHS_OF_LICENCE
    ),
    "Windows newlines": "",
    "old Macintosh newlines": "",
    "boxed transcriber's note": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "*** START OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n\n\n\n"
        "Produced by Anna Volunteer\n\n\n\n\n"
        "+---------------------------------------------------------------+\n"
        "|  Transcriber's Note:                                          |\n"
        "|                                                               |\n"
        "|  Spelling is as in the original.                              |\n"
        "+---------------------------------------------------------------+\n\n\n\n"
        + BODY
        + "\n\n\n\n[Transcriber's Note: the following typographical errors were corrected:\n\n"
        "Page 3, clok changed to clock]\n\n\n\n\n\n"
        "End of Project Gutenberg's The Harbour Clock, by Jane Tregear\n\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n" + PARAGRAPHS_OF_LICENCE
    ),
    "corrections by the etext transcriber": (
        "The Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        + _TERMS
        + "*** START OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n\n\nProduced by Anna Volunteer\n\n\n\n"
        + BODY
        + "\n\n       *       *       *       *       *\n\nTypographical errors corrected by the etext transcriber:\n\n"
        "clok=> clock {pg 3}\n\nharbor=> harbour {pg 9}\n\n\n\n\n\n"
        "End of the Project Gutenberg EBook of The Harbour Clock, by Jane Tregear\n\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK THE HARBOUR CLOCK ***\n\n" + PARAGRAPHS_OF_LICENCE
    ),
}
FORMS["Windows newlines"] = FORMS["2008, this, produced by"].replace("\n", "\r\n")
FORMS["old Macintosh newlines"] = FORMS["a marker over two lines"].replace("\n", "\r")
