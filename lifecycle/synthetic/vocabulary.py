"""Words of a demo company: names, places, sentences.

Belongs here: lists of texts and nothing else. All persons, streets and domains are made up; the domains end in
``.example`` and ``example.com``, which belong to nobody.
Does not belong here: how often a word is used, and by whom.
"""

from __future__ import annotations

WOMEN = (
    "Mary", "Patricia", "Jennifer", "Linda", "Elizabeth", "Barbara", "Susan", "Jessica", "Sarah", "Karen", "Nancy",
    "Margaret", "Sandra", "Ashley", "Kimberly", "Emily", "Donna", "Michelle", "Carol", "Amanda", "Melissa",
    "Deborah", "Stephanie", "Rebecca", "Laura", "Sharon", "Cynthia", "Kathleen", "Amy", "Angela", "Shirley", "Anna",
    "Brenda", "Pamela", "Nicole", "Ruth", "Katherine", "Samantha", "Christine", "Emma", "Catherine", "Virginia",
    "Rachel", "Carolyn", "Janet", "Maria", "Heather", "Diane", "Julie", "Joyce", "Victoria", "Kelly", "Christina",
    "Joan", "Evelyn", "Lauren", "Judith", "Olivia", "Martha", "Cheryl", "Megan", "Andrea", "Hannah", "Jacqueline",
    "Gloria", "Teresa", "Sara", "Janice", "Julia", "Grace", "Alice", "Sofia", "Isabella", "Mia", "Charlotte",
    "Amelia", "Harper", "Camila", "Valentina", "Lucia", "Elena", "Carmen", "Rosa", "Guadalupe", "Ximena", "Aaliyah",
    "Imani", "Priya", "Ananya", "Mei", "Yuki", "Fatima", "Leila", "Nadia", "Ingrid", "Freya", "Astrid", "Chloé",
    "Zoë", "Noémie", "Renée",
)  # fmt: skip

MEN = (
    "James", "Robert", "John", "Michael", "David", "William", "Richard", "Joseph", "Thomas", "Christopher",
    "Charles", "Daniel", "Matthew", "Anthony", "Mark", "Donald", "Steven", "Andrew", "Paul", "Joshua", "Kenneth",
    "Kevin", "Brian", "Timothy", "Ronald", "George", "Jason", "Edward", "Jeffrey", "Ryan", "Jacob", "Gary",
    "Nicholas", "Eric", "Jonathan", "Stephen", "Larry", "Justin", "Scott", "Brandon", "Benjamin", "Samuel",
    "Gregory", "Alexander", "Patrick", "Frank", "Raymond", "Jack", "Dennis", "Jerry", "Tyler", "Aaron", "Jose",
    "Adam", "Nathan", "Henry", "Zachary", "Douglas", "Peter", "Kyle", "Noah", "Ethan", "Jeremy", "Christian",
    "Walter", "Keith", "Austin", "Roger", "Terry", "Sean", "Gerald", "Carl", "Dylan", "Harold", "Jordan", "Jesse",
    "Bryan", "Lawrence", "Arthur", "Gabriel", "Bruce", "Logan", "Billy", "Joe", "Alan", "Juan", "Carlos", "Luis",
    "Miguel", "Diego", "Mateo", "Santiago", "Javier", "Andrés", "Rafael", "Jamal", "Malik", "Arjun", "Rohan", "Wei",
    "Kenji", "Omar", "Yusuf", "Ivan", "Sven", "Lars", "André", "François",
)  # fmt: skip

NICKNAMES = {
    "Patricia": "Pat", "Jennifer": "Jen", "Elizabeth": "Liz", "Barbara": "Barb", "Susan": "Sue", "Jessica": "Jess",
    "Margaret": "Peggy", "Kimberly": "Kim", "Amanda": "Mandy", "Deborah": "Debbie", "Stephanie": "Steph",
    "Rebecca": "Becky", "Cynthia": "Cindy", "Kathleen": "Kathy", "Pamela": "Pam", "Nicole": "Nikki",
    "Katherine": "Kate", "Samantha": "Sam", "Christine": "Chris", "Catherine": "Cathy", "Virginia": "Ginny",
    "Victoria": "Vicky", "Christina": "Tina", "Judith": "Judy", "Jacqueline": "Jackie", "Teresa": "Terry",
    "Charlotte": "Lottie", "Isabella": "Bella", "Valentina": "Val", "James": "Jim", "Robert": "Bob", "John": "Jack",
    "Michael": "Mike", "David": "Dave", "William": "Bill", "Richard": "Dick", "Joseph": "Joe", "Thomas": "Tom",
    "Christopher": "Chris", "Charles": "Chuck", "Daniel": "Dan", "Matthew": "Matt", "Anthony": "Tony",
    "Donald": "Don", "Steven": "Steve", "Andrew": "Andy", "Joshua": "Josh", "Kenneth": "Ken", "Timothy": "Tim",
    "Ronald": "Ron", "Edward": "Ed", "Jeffrey": "Jeff", "Jacob": "Jake", "Nicholas": "Nick", "Jonathan": "Jon",
    "Stephen": "Steve", "Benjamin": "Ben", "Samuel": "Sam", "Gregory": "Greg", "Alexander": "Alex",
    "Patrick": "Paddy", "Raymond": "Ray", "Zachary": "Zach", "Douglas": "Doug", "Walter": "Walt", "Gerald": "Jerry",
    "Lawrence": "Larry", "Gabriel": "Gabe", "Jose": "Pepe", "Santiago": "Santi",
}  # fmt: skip

COMMON_LAST_NAMES = (
    "Smith", "Johnson", "Williams", "Brown", "Jones", "Garcia", "Miller", "Davis", "Rodriguez", "Martinez",
    "Hernandez", "Lopez", "Gonzalez", "Wilson", "Anderson", "Thomas", "Taylor", "Moore", "Jackson", "Martin", "Lee",
    "Perez", "Thompson", "White", "Harris", "Sanchez", "Clark", "Ramirez", "Lewis", "Robinson", "Walker", "Young",
    "Allen", "King", "Wright", "Scott", "Torres", "Nguyen", "Hill", "Flores", "Green", "Adams", "Nelson", "Baker",
    "Hall", "Rivera", "Campbell", "Mitchell", "Carter", "Roberts", "Gomez", "Phillips", "Evans", "Turner", "Diaz",
    "Parker", "Cruz", "Edwards", "Collins", "Reyes", "Stewart", "Morris", "Morales", "Murphy", "Cook", "Rogers",
    "Gutierrez", "Ortiz", "Morgan", "Cooper", "Peterson", "Bailey", "Reed", "Kelly", "Howard", "Ramos", "Kim",
    "Cox", "Ward", "Richardson", "Watson", "Brooks", "Chavez", "Wood", "James", "Bennett", "Gray", "Mendoza",
    "Ruiz", "Hughes", "Price", "Alvarez", "Castillo", "Sanders", "Patel", "Myers", "Long", "Ross", "Foster",
    "Jimenez", "Powell", "Jenkins", "Perry", "Russell", "Sullivan", "Bell", "Coleman", "Butler", "Henderson",
    "Barnes", "Fisher", "Vasquez", "Simmons", "Romero", "Jordan", "Patterson", "Alexander", "Hamilton", "Graham",
    "Reynolds", "Griffin", "Wallace", "Moreno", "West", "Cole", "Hayes", "Bryant", "O'Connor", "O'Brien", "Peña",
    "Núñez", "Müller", "Lefèvre", "Smith-Jones", "Garcia-Lopez",
)  # fmt: skip

NAME_BEGINNINGS = (
    "Ash", "Barn", "Black", "Brad", "Bran", "Bright", "Burn", "Carl", "Ches", "Clay", "Cran", "Crom", "Dal", "Dart",
    "Den", "East", "El", "Fair", "Farn", "Glad", "Gold", "Green", "Had", "Hal", "Harl", "Hart", "Hazel", "Hol",
    "Horn", "Kings", "Lang", "Lock", "Lind", "Mar", "May", "Mel", "Mid", "Nor", "Oak", "Old", "Pem", "Pres", "Rad",
    "Red", "Rich", "Rock", "Rush", "Sel", "Shel", "Stan", "Stock", "Sut", "Thorn", "Wake", "Wal", "War", "West",
    "Whit", "Wick", "Wind", "Wood", "York",
)  # fmt: skip

NAME_ENDINGS = (
    "berg", "borne", "bridge", "brook", "burn", "bury", "by", "combe", "cott", "croft", "dale", "den", "don",
    "field", "ford", "gate", "grove", "ham", "hurst", "land", "ley", "man", "mere", "more", "ridge", "son", "stead",
    "ster", "stone", "ton", "wall", "ward", "water", "way", "well", "wick", "win", "wood", "worth",
)  # fmt: skip

STREETS = (
    "Maple", "Oak", "Cedar", "Pine", "Elm", "Washington", "Lake", "Hill", "Walnut", "Spring", "North", "Ridge",
    "Church", "Willow", "Mill", "Sunset", "Railroad", "Jefferson", "Park", "River", "Highland", "Forest", "Cherry",
    "Dogwood", "Meadow", "Chestnut", "Franklin", "Hickory", "Laurel", "Jackson", "Madison", "Valley", "Birch",
    "Spruce", "Poplar", "Lincoln", "Adams", "Broad", "Center", "Union", "Market", "Summit", "Prospect", "Garden",
    "Grant", "Magnolia", "Sycamore", "Juniper", "Aspen", "Cottonwood", "Locust", "Hemlock", "Orchard", "Harbor",
    "Bayview", "Canyon", "Prairie", "Mission", "Pleasant", "Liberty",
)  # fmt: skip

STREET_KINDS = ("Street", "Avenue", "Road", "Lane", "Drive", "Court", "Boulevard", "Way")
STREET_SHORT = ("St", "Ave", "Rd", "Ln", "Dr", "Ct", "Blvd", "Way")

CITIES = (
    ("New York", "NY", "100", 212, "America/New_York", "US"),
    ("Brooklyn", "NY", "112", 718, "America/New_York", "US"),
    ("Buffalo", "NY", "142", 716, "America/New_York", "US"),
    ("Boston", "MA", "021", 617, "America/New_York", "US"),
    ("Philadelphia", "PA", "191", 215, "America/New_York", "US"),
    ("Pittsburgh", "PA", "152", 412, "America/New_York", "US"),
    ("Baltimore", "MD", "212", 410, "America/New_York", "US"),
    ("Atlanta", "GA", "303", 404, "America/New_York", "US"),
    ("Miami", "FL", "331", 305, "America/New_York", "US"),
    ("Orlando", "FL", "328", 407, "America/New_York", "US"),
    ("Columbus", "OH", "432", 614, "America/New_York", "US"),
    ("Detroit", "MI", "482", 313, "America/New_York", "US"),
    ("Charlotte", "NC", "282", 704, "America/New_York", "US"),
    ("Toronto", "ON", "M5V", 416, "America/Toronto", "CA"),
    ("Montreal", "QC", "H2X", 514, "America/Toronto", "CA"),
    ("Chicago", "IL", "606", 312, "America/Chicago", "US"),
    ("Milwaukee", "WI", "532", 414, "America/Chicago", "US"),
    ("Minneapolis", "MN", "554", 612, "America/Chicago", "US"),
    ("St. Louis", "MO", "631", 314, "America/Chicago", "US"),
    ("Houston", "TX", "770", 713, "America/Chicago", "US"),
    ("Dallas", "TX", "752", 214, "America/Chicago", "US"),
    ("Austin", "TX", "787", 512, "America/Chicago", "US"),
    ("New Orleans", "LA", "701", 504, "America/Chicago", "US"),
    ("Nashville", "TN", "372", 615, "America/Chicago", "US"),
    ("Denver", "CO", "802", 303, "America/Denver", "US"),
    ("Salt Lake City", "UT", "841", 801, "America/Denver", "US"),
    ("Phoenix", "AZ", "850", 602, "America/Phoenix", "US"),
    ("Los Angeles", "CA", "900", 213, "America/Los_Angeles", "US"),
    ("San Diego", "CA", "921", 619, "America/Los_Angeles", "US"),
    ("San Francisco", "CA", "941", 415, "America/Los_Angeles", "US"),
    ("Portland", "OR", "972", 503, "America/Los_Angeles", "US"),
    ("Seattle", "WA", "981", 206, "America/Los_Angeles", "US"),
    ("Vancouver", "BC", "V6B", 604, "America/Vancouver", "CA"),
)
"""City, region, beginning of the postcode, area code, time zone, country."""

ZONES = tuple(dict.fromkeys(city[4] for city in CITIES))

MAIL_DOMAINS = ("mail.example", "post.example", "inbox.example", "example.com", "quickmail.example", "webmail.example")
WORK_DOMAINS = ("acme-tools.example", "northwind.example", "bluepeak.example", "city-school.example", "clinic.example")
COMPANIES = ("Acme Tools", "Northwind", "Blue Peak", "City School", "Harbor Clinic")

TOPICS = ("news", "sales", "tips", "new products", "events")
GOALS = ("save time", "grow sales", "work together", "learn something new", "save money")

BROWSERS = ("desktop", "mobile", "tablet")

TICKET_REASONS = (
    "where_is_my_order", "damaged_item", "wrong_item", "refund_status", "payment_problem", "login_problem",
    "how_to_use", "change_address", "cancel_request", "price_question",
)  # fmt: skip

AGENTS = ("agent_01", "agent_02", "agent_03", "agent_04", "agent_05", "agent_06", "agent_07", "agent_08")

TICKET_OPENINGS = {
    "where_is_my_order": (
        "Hello, my parcel should have been here days ago. Where is it?",
        "The tracking page has not moved since Monday.",
        "I still have not received my order, can you check?",
    ),
    "damaged_item": (
        "The box was crushed and the item inside is broken.",
        "It arrived with a crack in it, I have photos.",
        "One of the parts is bent, I cannot use it like this.",
    ),
    "wrong_item": (
        "You sent me a different colour than the one I chose.",
        "This is not what I ordered at all.",
        "I got the wrong size, the label says something else.",
    ),
    "refund_status": (
        "I sent it back two weeks ago and there is no refund yet.",
        "When will I see the money on my card?",
        "Your email said five days, it has been ten.",
    ),
    "payment_problem": (
        "My card was charged twice.",
        "The payment page gives an error every time.",
        "The payment failed, but my bank shows the amount.",
    ),
    "login_problem": (
        "I cannot sign in, the reset mail does not arrive.",
        "My account says locked. Please help.",
        "The app logs me out again and again.",
    ),
    "how_to_use": (
        "How do I set this up? The manual is not clear to me.",
        "Which of the two settings do I need?",
        "Is there a short guide for beginners?",
    ),
    "change_address": (
        "We have moved, please change the address of my order.",
        "I typed the wrong house number, can you correct it?",
        "Please send it to my office instead.",
    ),
    "cancel_request": (
        "Please cancel it, I do not need it any more.",
        "How do I cancel? I cannot find the button.",
        "I want to stop this at the end of the month.",
    ),
    "price_question": (
        "Is there a discount for larger quantities?",
        "The price in the newsletter differs from the one on the page.",
        "Does my voucher work for sale items?",
    ),
}

CALM_FOLLOW_UPS = (
    "Thank you for looking into it.",
    "No hurry, I just wanted to let you know.",
    "Please tell me if you need anything from me.",
    "Thanks in advance!",
    "Otherwise I am very happy with it.",
)

FRUSTRATED_FOLLOW_UPS = (
    "This is the third time I am writing about this!",
    "I am really disappointed, this is ridiculous.",
    "Nobody answers, this is unacceptable. I want my money back.",
    "I have been a customer for years, and this is the worst service I have seen.",
    "If this is not solved today I am leaving for good.",
)

AGENT_REPLIES = (
    "Agent: I am sorry about that, I have sent a replacement today.",
    "Agent: Thank you for writing. I have checked it and passed it on.",
    "Agent: The refund is on its way, it takes up to five days.",
    "Agent: I have changed it for you, you will get a confirmation.",
    "Agent: Please try again now, it should work.",
    "Agent: That offer is guaranteed to be the best you will ever get.",
)

REVIEW_TEXTS = {
    5: ("Love it, would buy again.", "Exactly as described, great quality.", "Perfect, and it came early."),
    4: ("Very good, small scratch though.", "Does what it should.", "Good value for the money."),
    3: ("It is okay.", "Not bad, not great.", "Fine, but delivery took long."),
    2: ("Expected more for this price.", "Stopped working after a month.", "Smaller than in the picture."),
    1: ("Broken on arrival.", "Waste of money.", "Never again, and no answer from support."),
}

SURVEY_COMMENTS = {
    True: ("Quick and friendly.", "All good.", "Keep it up!", "Easy from start to end."),
    False: ("Too slow.", "I had to ask three times.", "Could be clearer.", "Nobody seemed to care."),
}

REFUND_REASONS = ("does not fit", "damaged", "changed my mind", "late", "wrong item")
CANCEL_REASONS = ("too expensive", "not used enough", "missing feature", "went to a competitor", "payment")
