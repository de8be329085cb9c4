"""The words of the example documents. Every name, number and address here is invented."""

from __future__ import annotations

OWNER_ZH = "澄江文衡科技有限公司"
OWNER_EN = "Chengjiang Wenheng Technology Co., Ltd."
OWNER_ADDRESS = "澄江市文衡路 18 号 · No. 18 Wenheng Road, Chengjiang"
OTHER_ZH = "青禾办公设备有限公司"
OTHER_EN = "Qinghe Office Equipment Co., Ltd."

CONTRACT_ZH_TITLE = "办公设备采购合同"
CONTRACT_ZH_NUMBER = "合同编号:WH-CG-2026-0117"
CONTRACT_ZH_PARTIES = [
    ("甲方(采购方)", OWNER_ZH, "澄江市文衡路 18 号"),
    ("乙方(供货方)", OTHER_ZH, "南浦市青禾工业园 6 栋"),
]
CONTRACT_ZH: list[tuple[str, list[str]]] = [
    (
        "第一条 标的与数量",
        [
            "1.1 乙方向甲方供应办公桌椅、会议终端及配套线缆,规格、数量与单价见本合同附件一《供货清单》,附件一与本合同具有同等效力。",
            "1.2 乙方保证所供设备为原厂全新产品,外观完好,随附合格证、保修卡与中文说明书。",
            "1.3 甲方在交货日前十五日可以书面调整数量,调整幅度不超过清单总数的百分之十,单价不变。",
        ],
    ),
    (
        "第二条 价款与支付",
        [
            "2.1 本合同含税总价为人民币贰拾捌万陆仟肆佰元整(¥286,400.00),税率百分之十三,已包含包装、运输、安装与调试的全部费用。",
            "2.2 合同生效后十个工作日内,甲方支付总价的百分之三十作为预付款;验收合格并收到增值税专用发票后二十个工作日内,支付百分之六十五;其余百分之五作为质量保证金,在质保期满后无息退还。",
            "2.3 乙方逾期开具发票的,甲方付款期限相应顺延,不视为违约。",
        ],
    ),
    (
        "第三条 交付与验收",
        [
            "3.1 交货地点为甲方住所地三层仓库,交货日期为二〇二六年三月三十一日前。乙方应提前三日通知到货时间。",
            "3.2 甲方自设备安装完毕之日起七日内组织验收,按清单逐项核对型号、数量与功能,双方在验收单上签字确认。",
            "3.3 验收不合格的,乙方应在十日内更换或修复并重新提交验收,由此产生的费用由乙方承担。",
            "3.4 设备的所有权与毁损灭失的风险自验收合格时起转移至甲方。",
        ],
    ),
    (
        "第四条 质量保证",
        [
            "4.1 质保期为自验收合格之日起三十六个月。质保期内出现非人为故障的,乙方应在接到通知后二十四小时内响应,四十八小时内到场。",
            "4.2 同一设备在质保期内因同一原因维修两次仍不能正常使用的,乙方应予以更换。",
            "4.3 质保期届满后,乙方应以不高于当时市场价格的费用继续提供配件与维修服务,期限不少于五年。",
        ],
    ),
    (
        "第五条 保密",
        [
            "5.1 双方对在履行本合同中知悉的对方商业秘密、技术资料与个人信息负有保密义务,未经书面同意不得向第三方披露。",
            "5.2 保密义务不因本合同的终止而终止。",
        ],
    ),
    (
        "第六条 违约责任",
        [
            "6.1 乙方逾期交货的,每逾期一日应按逾期部分价款的千分之一支付违约金;逾期超过三十日的,甲方有权解除合同并要求赔偿损失。",
            "6.2 甲方逾期付款的,每逾期一日应按逾期金额的万分之五支付违约金。",
            "6.3 因不可抗力不能履行的,遭受方应在五日内书面通知对方并提供证明,双方据此协商变更或者解除合同。",
        ],
    ),
    (
        "第七条 争议解决与其他",
        [
            "7.1 因本合同引起的争议,双方应协商解决;协商不成的,提交甲方住所地有管辖权的人民法院诉讼解决。",
            "7.2 本合同以可靠的电子签章方式签署,自双方加盖电子印章之日起生效。电子文本与纸质文本具有同等法律效力。",
            "7.3 对本合同的任何修改或者补充,应由双方另行签订书面协议并加盖印章。",
        ],
    ),
]
CONTRACT_ZH_GOODS = [
    ("序号", "名称", "规格型号", "数量", "单价(元)", "金额(元)"),
    ("1", "升降办公桌", "QH-D140 1400×700 mm", "60", "1,980.00", "118,800.00"),
    ("2", "人体工学椅", "QH-C30 网布", "60", "1,160.00", "69,600.00"),
    ("3", "会议终端", "QH-M55 55 英寸", "6", "12,800.00", "76,800.00"),
    ("4", "线缆与配件", "按布线图", "1", "21,200.00", "21,200.00"),
    ("", "合计(含税)", "", "", "", "286,400.00"),
]

CONTRACT_EN_TITLE = "Services Agreement"
CONTRACT_EN: list[tuple[str, list[str]]] = [
    (
        "1  Services",
        [
            '1.1  The Provider shall host, operate and support the records platform described in Schedule A (the "Services") with the skill and care of an experienced professional.',
            "1.2  The Provider may use subcontractors named in Schedule B. It answers for their acts and omissions as for its own.",
        ],
    ),
    (
        "2  Term",
        [
            "2.1  This Agreement begins on 1 March 2026 and runs for twenty-four months. Unless either party gives ninety days' notice in writing, it renews for successive periods of twelve months.",
            "2.2  Either party may terminate for a material breach that is not remedied within thirty days of written notice describing it.",
        ],
    ),
    (
        "3  Fees",
        [
            "3.1  The Customer shall pay the fees in Schedule C within thirty days of a correct invoice. Fees exclude value added tax.",
            "3.2  Fees may be adjusted once a year by no more than the change in the consumer price index published for the preceding year.",
        ],
    ),
    (
        "4  Service levels",
        [
            "4.1  Monthly availability shall be no less than 99.9 per cent, measured at the boundary of the Provider's network.",
            "4.2  For each full tenth of a per cent below that level the Customer receives a credit of five per cent of the monthly fee, up to the whole of that fee.",
        ],
    ),
    (
        "5  Confidentiality and data",
        [
            "5.1  Each party keeps the other's confidential information secret and uses it only to perform this Agreement.",
            "5.2  The Provider processes personal data only on documented instructions, keeps it within the agreed region, and returns or erases it within thirty days of the end of the Services.",
        ],
    ),
    (
        "6  Liability",
        [
            "6.1  Neither party is liable for loss of profit or for indirect loss. Apart from that, each party's total liability in a contract year is limited to the fees payable in that year.",
            "6.2  Nothing limits liability for fraud, for wilful misconduct, or for anything for which liability cannot lawfully be limited.",
        ],
    ),
    (
        "7  General",
        [
            "7.1  This Agreement is the whole agreement of the parties on its subject. Changes need writing and both parties' seals.",
            "7.2  Each party may execute this Agreement by an electronic seal. A sealed electronic copy is an original.",
        ],
    ),
]

INVOICE_LINES = [
    ("Description", "Period", "Qty", "Unit price", "Amount"),
    ("Records platform, standard tier", "Jan 2026", "1", "18,400.00", "18,400.00"),
    ("Additional storage, per 100 GB", "Jan 2026", "12", "85.00", "1,020.00"),
    ("Sealing transactions, per 1,000", "Jan 2026", "48", "36.50", "1,752.00"),
    ("Archive export, one-off", "14 Jan 2026", "1", "640.00", "640.00"),
    ("On-site training, per day", "20–21 Jan", "2", "1,150.00", "2,300.00"),
]
INVOICE_TOTALS = [("Net", "24,112.00"), ("VAT 6 %", "1,446.72"), ("Total due, CNY", "25,558.72")]

MINUTES_TITLE = "Minutes of the Board"
MINUTES = [
    ("Present", "Ms Lin Yue (chair), Mr Chen Rui, Ms Zhao Ming, Ms Wang Fang (secretary). A quorum was present."),
    ("1  Approval of the agenda", "The agenda was adopted without change."),
    (
        "2  Annual accounts",
        "The board received the audited accounts for 2025 and the auditor's unqualified opinion, and resolved to put them to the members.",
    ),
    (
        "3  Custody of seals",
        "The board noted that the official seal is held in the hardware security module from 1 January 2026 and that each use needs two approvers and a form.",
    ),
    ("4  Premises", "The lease of the third floor is renewed for three years on the terms in the paper circulated on 5 January."),
    ("5  Any other business", "None. The meeting closed at 11:40."),
]

HANDBOOK_TITLE = "Staff handbook"
HANDBOOK = [
    (
        "Using a seal",
        "Nobody seals a document alone. You apply with a form, someone else approves it, and the seal obeys exactly what was approved: these bytes, this place on the page, once.",
    ),
    (
        "Before you apply",
        "Read the final text. Fill every blank. Check the name of our company, the amount and the date. A form for a document that changes afterwards is worth nothing.",
    ),
    (
        "When you approve",
        "Open the very files. Compare them with the form. Ask. An approval is your own signature and will carry your name for as long as the document lives.",
    ),
    (
        "When something is wrong",
        "Tell the security officer at once. One signature suspends a seal in seconds, even in the middle of a batch; resuming takes the whole quorum.",
    ),
]

LETTER_TITLE = "Reference for supply"
LETTER = [
    "To whom it may concern",
    "Qinghe Office Equipment Co., Ltd. has supplied furniture and meeting terminals to its customers in our region since 2019. In that time every delivery that we know of was complete and on the agreed day.",
    "This letter is issued at the request of the customer and signed electronically by us. It is valid for six months from its date.",
]

FRAMEWORK_TITLE = "年度办公设备采购框架协议"
FRAMEWORK_SUBTITLE = "补充条款 · 第三次修订稿"
FRAMEWORK = [
    "一、本补充条款是双方于二〇二五年十二月签订的《年度办公设备采购框架协议》的组成部分,与其不一致之处以本补充条款为准。",
    "二、年度采购上限由人民币一百二十万元调整为一百五十万元,单笔订单仍不超过三十万元。",
    "三、乙方应在每季度结束后十日内向甲方提交供货与维修情况的书面报告。",
    "四、双方确认以电子签章方式签署订单;订单自甲方加盖合同专用章之时起生效。",
    "五、本补充条款自双方加盖印章之日起生效,有效期至二〇二六年十二月三十一日。",
]

RECEIPT_ROWS = [
    ("今收到", OTHER_ZH),
    ("事由", "展位押金退还"),
    ("金额(大写)", "人民币叁仟陆佰元整"),
    ("金额(小写)", "¥3,600.00"),
    ("方式", "银行转账"),
]

EVERYTHING = "".join(
    str(value)
    for value in (
        OWNER_ZH, OWNER_ADDRESS, OTHER_ZH, CONTRACT_ZH_TITLE, CONTRACT_ZH_NUMBER, CONTRACT_ZH_PARTIES, CONTRACT_ZH, CONTRACT_ZH_GOODS,
        CONTRACT_EN, MINUTES, HANDBOOK, LETTER, FRAMEWORK_TITLE, FRAMEWORK_SUBTITLE, FRAMEWORK, RECEIPT_ROWS, INVOICE_LINES,
        "附件一供货清单第页共甲乙方(盖章)授权代表签字日期年月日收款收据经手人编号仅供示例虚构内容地址之间签订采购供货:;,。、《》()〇证书荣誉兹授予年度优秀服务团队",
    )
)  # fmt: skip
