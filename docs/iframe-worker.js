// Search runs in a worker. A page that is opened from the disk may start none, so there an empty frame does its work.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      this.started = new Promise(resolve => {
        frame.onload = () => {
          frame.onload = null
          this.scope = frame.contentWindow
          this.scope.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
          this.scope.importScripts = (...urls) => urls.reduce((before, each) => before.then(() => this.load(each)),
                                                              Promise.resolve())
          resolve(this.load(url))
        }
      })
      document.body.append(frame)
    }

    load(url) {
      return new Promise((resolve, reject) => {
        const script = this.scope.document.createElement("script")
        Object.assign(script, { src: url, onload: resolve, onerror: reject })
        this.scope.document.body.append(script)
      })
    }

    postMessage(data) {
      this.started.then(() => this.scope.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.scope.frameElement.remove()
    }
  }
}
