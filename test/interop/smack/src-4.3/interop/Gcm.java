package interop;

import org.jivesoftware.smack.packet.ExtensionElement;
import org.jivesoftware.smack.provider.ExtensionElementProvider;
import org.jivesoftware.smack.provider.ProviderManager;
import org.xmlpull.v1.XmlPullParser;

/** The payload element, in the classes of Smack 4.3. Its text is written as it is, unescaped. */
final class Gcm implements ExtensionElement {
    static final String ELEMENT = "gcm";
    static final String NAMESPACE = "google:mobile:data";

    final String json;

    Gcm(String json) {
        this.json = json;
    }

    static void register() {
        ProviderManager.addExtensionProvider(ELEMENT, NAMESPACE, new ExtensionElementProvider<Gcm>() {
            @Override
            public Gcm parse(XmlPullParser parser, int depth) throws Exception {
                return new Gcm(parser.nextText());
            }
        });
    }

    @Override
    public String getElementName() {
        return ELEMENT;
    }

    @Override
    public String getNamespace() {
        return NAMESPACE;
    }

    @Override
    public CharSequence toXML(String enclosingNamespace) {
        return "<gcm xmlns=\"google:mobile:data\">" + json + "</gcm>";
    }
}
