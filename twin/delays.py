"""Delays: the reasons for which a shipment is late, as a real global supply programme counts them.

Codes and names are those of USAID's GHSC-PSM programme (US Government work; as published in
github.com/paulliec/usaid_shipment_data, data/code_lookup.csv), definitions shortened. AD: nobody
in the supply chain could have prevented it; UD: somebody could. A code means the same for ever.
"""

from __future__ import annotations

REASONS: dict[str, str] = {
    "AD010": "Authorized change: the programme delays a delivery to protect the supply chain",
    "AD011": "Requested delay: the programme asks for a later delivery",
    "AD012": "Early delivery: authorized, and without adverse impact",
    "AD013": "Product overstock: delivery on the agreed date would cause or add to one",
    "AD014": "Change of specification, quantity or mode, asked for by the recipient",
    "AD015": "Warehouse closed or without enough space for the shipment",
    "AD016": "Divert, split or consolidate, as requested",
    "AD017": "Change in drug policy: treatment guidelines require a change or delay",
    "AD020": "Global supply shortage of the product or its ingredient",
    "AD030": "Recall or quality: a recall, a hold, or an official regulatory notice",
    "AD040": "Pre-shipment testing took longer than its standard time",
    "AD050": "Government documents: waiver, registration or papers insufficient or late",
    "AD060": "Force majeure: hurricane, volcano, earthquake and the like",
    "AD070": "Security incident: unrest, conflict, cyber attack, pandemic, port strike",
    "AD998": "Data cleaning: an error had set a wrong agreed date",
    "AD999": "Other reason beyond the supply chain's control",
    "UD010": "Sourcing: tender, quotes or award came late",
    "UD020": "Contracting: preparing, approving or issuing the order took too long",
    "UD030": "Vendor delayed between quote and order: another date than it had quoted",
    "UD040": "Goods not available on the date agreed in the contract",
    "UD050": "Vendor's shipping documents late or wrong",
    "UD060": "Shelf life below requirements: fresher product had to be waited for",
    "UD070": "Inbound order late at the distribution centre",
    "UD080": "Distribution centre slow in processing the order",
    "UD090": "Poor coordination of inspection and sampling",
    "UD100": "Quality testing took too long",
    "UD110": "Shipped without pre-alert: goods arrived in the country unannounced",
    "UD120": "Forwarder's shipping documents late or wrong",
    "UD130": "Waiver or product registration came late",
    "UD140": "Pick-up late, although the goods were available",
    "UD150": "Booking: no confirmed flight, ship or truck",
    "UD160": "Transit: missed connection or port congestion",
}
