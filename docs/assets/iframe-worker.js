// A page that is opened as a file may start no worker, and the theme's search is one: here its script runs in a hidden frame.
// The theme asks for the name IFrameWorker, and for importScripts to return a promise.
if (location.protocol === "file:") {
  const load = (inner, address) =>
    new Promise((done, failed) => {
      const script = inner.document.createElement("script");
      script.src = new URL(address, document.baseURI).href;
      script.onload = done;
      script.onerror = failed;
      inner.document.head.append(script);
    });

  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.inner = this.frame.contentWindow;
      this.inner.importScripts = async (...all) => {
        for (const each of all) await load(this.inner, each);
      };
      this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.ready = load(this.inner, address);
    }

    async postMessage(data) {
      await this.ready;
      this.inner.dispatchEvent(new this.inner.MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
