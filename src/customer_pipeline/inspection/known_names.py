"""What suppliers call the columns of the table, in the languages that are met, and what they call personal data.

Names are written in one word, small, without accents: `Kundennr.` is `kundennr`. They are guesses for people to
confirm: only a contract's synonyms are ever read.
"""

from __future__ import annotations

_KNOWN = {
    "transaction_id": """
        transaction transactionid transactionno transactionnumber txnid trxid order orderid orderno ordernumber
        invoice invoiceid invoiceno invoicenumber receipt receiptno documentno docno saleid beleg belegnr
        belegnummer rechnungsnr rechnungsnummer auftrag auftragsnr auftragsnummer bestellnr bestellnummer
        vorgang vorgangsnr transaktion transaktionsnr transaktionsnummer bonnr facture nofacture numfacture
        numerofacture commande nocommande numcommande numerocommande idtransaction factuur factuurnr
        factuurnummer ordernr bestelnummer transactienr transactienummer transactie factura nofactura numfactura
        numerofactura pedido nopedido numeropedido idtransaccion fattura nofattura numerofattura ordine
        numeroordine idtransazione fatura nofatura numerofatura nomor nomortransaksi notransaksi idtransaksi
        nofaktur nomorfaktur nomorpesanan transaksi faktura numerfaktury nrfaktury numerzamowienia nrzamowienia
        fakturanr fakturanummer ordrenr
    """,
    "customer_id": """
        customer customerid customerno customernumber custid custno client clientid clientno account accountid
        accountno accountnumber buyer buyerid memberid kunde kundenid kundennr kundennummer kdnr debitor
        debitorennr debitornr noclient numclient numeroclient codeclient idclient refclient klant klantid
        klantnr klantnummer klantcode cliente clienteid idcliente codcliente codigocliente nocliente
        numerocliente codicecliente pelanggan idpelanggan kodepelanggan nomorpelanggan klient idklienta
        nrklienta kodklienta kundnr kundnummer
    """,
    "transaction_date": """
        date transactiondate orderdate invoicedate saledate solddate soldon purchasedate day datetime timestamp
        postingdate datum belegdatum rechnungsdatum bestelldatum kaufdatum verkaufsdatum buchungsdatum
        auftragsdatum tag datefacture datecommande datevente datetransaction dateachat factuurdatum orderdatum
        besteldatum verkoopdatum transactiedatum fecha fechafactura fechapedido fechaventa data datafattura
        dataordine datapedido datavenda dataemissao tanggal tanggaltransaksi tgl tgltransaksi tanggalpesanan
        tglfaktur datafaktury datasprzedazy datazamowienia fakturadatum ordredato dato
    """,
    "product_id": """
        product productid productno productnumber productcode item itemid itemno itemnumber itemcode article
        articleid articleno articlenumber sku stockcode partno partnumber material materialno artikel artikelid
        artikelnr artikelnummer artnr produktid produktnr produktnummer materialnr materialnummer warennr
        idproduit codeproduit refproduit noproduit codearticle refarticle noarticle numarticle reference
        productnr productnummer artikelcode idproducto codproducto codigoproducto codarticulo codigoarticulo
        codiceprodotto codicearticolo idprodotto codproduto codigoproduto idproduto kodebarang kodeproduk
        idbarang idproduk idproduktu kodproduktu nrartykulu varenr varunr
    """,
    "product_name": """
        productname productdescription itemname itemdescription articlename description desc name title goods
        bezeichnung artikelbezeichnung artikelname produktbezeichnung produktname produkt beschreibung
        artikeltext designation libelle nomproduit nomarticle produit descriptionproduit omschrijving
        productomschrijving productnaam artikelomschrijving artikelnaam descripcion nombreproducto producto
        articulo descrizione nomeprodotto prodotto descricao nomeproduto produto namabarang namaproduk barang
        produk keterangan nazwa nazwaproduktu opis produktnamn beskrivning varenavn
    """,
    "quantity": """
        quantity qty count units pieces pcs amountsold quantitysold unitssold menge anzahl stueck stuck stk
        stckzahl stueckzahl stuckzahl quantite qte nombre aantal hoeveelheid stuks cantidad cant unidades
        quantita qta pezzi quantidade qtd qtde jumlah kuantitas banyaknya ilosc liczba sztuk antal mangd antall
    """,
    "price": """
        price unitprice priceperunit itemprice salesprice rate unitcost preis einzelpreis stueckpreis stuckpreis
        verkaufspreis vk vkpreis epreis nettopreis prix prixunitaire pu puht prixht prixdevente prijs stukprijs
        eenheidsprijs verkoopprijs precio preciounitario preciounidad prezzo prezzounitario preco precounitario
        valorunitario harga hargasatuan hargajual cena cenajednostkowa pris styckpris stykpris enhetspris
    """,
    "tax": """
        tax taxamount salestax vat vatamount gst gstamount steuer steuerbetrag mwst mwstbetrag ust umsatzsteuer
        mehrwertsteuer tva montanttva taxe taxes btw btwbedrag belasting impuesto impuestos iva importeiva
        imposta imposto impostos icms pajak ppn podatek vatkwota kwotavat moms momsbelopp mva
    """,
}
KNOWN_NAMES = {name: frozenset(words.split()) for name, words in _KNOWN.items()}
"""By the name of the table's column."""

_PERSONAL = """
    mail phone mobile telefon telephone telefono telp handy fax firstname lastname surname fullname forename
    vorname nachname familienname kundenname customername clientname buyername contact ansprechpartner
    prenom nomclient nomdefamille voornaam achternaam klantnaam naamklant apellido apellidos nombrecliente
    nombrecompleto cognome nomecliente sobrenome namapelanggan namalengkap imie nazwisko address adresse
    adres street strasse rue straat calle direccion indirizzo endereco alamat postcode zipcode postalcode
    plz codepostal birth geburt naissance geboorte nacimiento nascita nascimento lahir iban bankaccount
    kontonummer creditcard ssn passport taxid gender geschlecht geslacht sexe ipaddress
"""
PERSONAL_WORDS = frozenset(_PERSONAL.split())
"""Words that stand in the names of columns of personal data."""
NO_VALUE = frozenset(
    {
        *("k.a.", "k. a.", "keine angabe", "keine", "leer", "unbekannt", "entf\u00e4llt", "fehlt"),
        *("n.v.t.", "nvt", "n.b.", "onbekend", "leeg", "geen"),
        *("nd", "n.d.", "n/d", "sans", "sans objet", "n\u00e9ant", "inconnu", "vide", "aucun", "aucune"),
        *("s/d", "sin dato", "sin datos", "ninguno", "ninguna", "desconocido"),
        *("nessuno", "sconosciuto", "vuoto", "nenhum", "desconhecido", "vazio"),
        *(
            "tidak ada",
            "kosong",
            "tidak diketahui",
            "brak",
            "nieznany",
            "saknas",
            "ok\u00e4nd",
            "ukjent",
            "mangler",
        ),
        *("#nv", "#nb", "#n/d"),
    }
)
"""Texts, in lower case, that mean "no value" in these languages, beside those of the default contract."""
